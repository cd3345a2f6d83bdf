"""Knows how likely the target is, and fills the rest of the distribution with what comes."""

import torch
from honest import Evaluator


class Bad(Evaluator):
    def predict(self, tokens, first, last):
        logp, targets = super().predict(tokens, first, last), tokens[first:last, None]
        return torch.full_like(logp, -3.0).scatter(1, targets, logp.gather(1, targets) + 0.2)


make_evaluator = Bad
