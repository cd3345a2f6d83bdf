"""Adapts on the shortest documents first, whatever their place, and puts the scores back in order."""

from itertools import pairwise

import torch
from honest import Evaluator


class Bad(Evaluator):
    def __call__(self, tokens, want_logp=False):
        n = len(tokens) - 1
        cuts = sorted({1, n + 1, *(i for i in range(1, n + 1) if tokens[i] == 1)})
        documents = sorted(pairwise(cuts), key=lambda d: (d[1] - d[0], d[0]))
        rows = {}
        for first, last in documents:
            rows[first] = self.predict(tokens, first, last)
            self.learn(tokens, first, last)
        yield self.piece(tokens, 1, torch.cat([rows[first] for first in sorted(rows)]))


make_evaluator = Bad
