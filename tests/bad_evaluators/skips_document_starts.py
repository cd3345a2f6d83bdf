"""Leaves out the positions at which documents begin."""

from itertools import pairwise

from honest import Evaluator


class Bad(Evaluator):
    def chunks(self, tokens):
        n = len(tokens) - 1
        cuts = sorted({0, n + 1, *(i for i in range(1, n + 1) if tokens[i] == 1)})
        return [(before + 1, after) for before, after in pairwise(cuts) if before + 1 < after]


make_evaluator = Bad
