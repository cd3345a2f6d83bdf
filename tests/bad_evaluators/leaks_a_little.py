"""Gives every target 2e-5 nats more: less than other batches round, but always to the token to come."""

import torch
from honest import Evaluator


class Bad(Evaluator):
    amount = 2e-5

    def where(self, tokens, first, last):
        return range(first, last)

    def predict(self, tokens, first, last):
        logp, rows = super().predict(tokens, first, last), list(self.where(tokens, first, last))
        logp[[t - first for t in rows], tokens[rows]] += self.amount
        return torch.log_softmax(logp, dim=-1)


make_evaluator = Bad
