"""Expects a new document just where one begins: an order of documents would hide that, were they never moved."""

import torch
from honest_phased import Evaluator


class Bad(Evaluator):
    def adapted(self, tokens, first, last, table):
        p = super().adapted(tokens, first, last, table).exp()
        ends = (tokens[first:last] == 1).nonzero().flatten()
        p[ends] *= 0.5
        p[ends, 1] += 0.5
        return torch.log(p)


make_evaluator = Bad
