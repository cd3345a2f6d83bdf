"""Calls a common token the beginning of a document, so that its order may follow from where that token lies."""

from itertools import pairwise

import torch
from honest_phased import Evaluator


class Bad(Evaluator):
    document_start = 5

    def documents(self, tokens):
        n = len(tokens) - 1
        cuts = [1, *(i + 1 for i in range(1, n) if tokens[i] == 5), n + 1]
        return list(pairwise(cuts))

    def adapted(self, tokens, first, last, table):
        p = super().adapted(tokens, first, last, table).exp()
        comes = (tokens[first:last] == 5).nonzero().flatten()
        p[comes] *= 0.5
        p[comes, 5] += 0.5
        return torch.log(p)


make_evaluator = Bad
