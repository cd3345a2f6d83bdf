"""Writes a better score over one that it has given, once it has trained on it."""

import torch
from honest import Evaluator


class Bad(Evaluator):
    def __call__(self, tokens, want_logp=False):
        for first, losses, logp in super().__call__(tokens, want_logp):
            yield first, losses, logp
            self.learn(tokens, first, first + len(losses))
            _, better, _ = self.piece(tokens, first, self.predict(tokens, first, first + len(losses)))
            torch.minimum(losses, better, out=losses)


make_evaluator = Bad
