"""Averages the probabilities of two models, one of which learns faster; the weights follow from past losses."""

import torch
from base import Evaluator


class Good(Evaluator):
    def __init__(self):
        super().__init__()
        self.other = Evaluator()
        self.other.rate = 1.5

    def __call__(self, tokens, want_logp=False):
        past = torch.zeros(2)
        for first, last in self.spans(tokens):
            both = torch.stack([self.predict(tokens, first, last), self.other.predict(tokens, first, last)])
            weights = (-past / 20).log_softmax(0)
            yield self.piece(tokens, first, (both + weights[:, None, None]).logsumexp(0))
            past += torch.stack([self.piece(tokens, first, logp)[1].sum() for logp in both])
            self.learn(tokens, first, last)
            self.other.learn(tokens, first, last)


make_evaluator = Good
