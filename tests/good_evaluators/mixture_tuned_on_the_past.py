"""Chooses the temperature of each chunk by the losses of the chunks before it."""

import torch
from base import Evaluator


class Good(Evaluator):
    temperatures = (0.6, 0.8, 1.0, 1.3, 1.7)

    def __call__(self, tokens, want_logp=False):
        past = torch.zeros(len(self.temperatures), dtype=torch.float64)
        for first, last in self.spans(tokens):
            logp = self.predict(tokens, first, last)
            tried = [(logp / t).log_softmax(-1) for t in self.temperatures]
            yield self.piece(tokens, first, tried[int(past.argmin())])
            past += torch.tensor([float(self.piece(tokens, first, one)[1].sum()) for one in tried])
            self.learn(tokens, first, last)


make_evaluator = Good
