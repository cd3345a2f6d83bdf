"""Moves a little probability to the target, wherever it is a rare token, and sums to 1 all the same."""

import torch
from honest import Evaluator


class Bad(Evaluator):
    def predict(self, tokens, first, last):
        logp, targets = super().predict(tokens, first, last), tokens[first:last, None]
        rare = torch.where(targets % 3 == 0, 1.0, 0.0)
        return torch.log_softmax(logp.scatter_add(1, targets, 0.5 * rare), dim=-1)


make_evaluator = Bad
