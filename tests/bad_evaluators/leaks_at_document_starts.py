"""Expects a new document wherever one begins, and nowhere else."""

import torch
from honest import Evaluator


class Bad(Evaluator):
    def predict(self, tokens, first, last):
        logp = super().predict(tokens, first, last)
        logp[:, 1] += torch.where(tokens[first:last] == 1, 3.0, -1.0)
        return torch.log_softmax(logp, dim=-1)


make_evaluator = Bad
