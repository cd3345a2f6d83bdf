"""Keeps a registry of its evaluators in a module global, under a number that no other pass has; each begins empty."""

from itertools import count

import numpy as np
from base import VOCAB, Evaluator

COUNTS: dict[int, np.ndarray] = {}
NUMBERS = count()


class Good(Evaluator):
    def __init__(self):
        self.number = next(NUMBERS)
        COUNTS[self.number] = np.ones(VOCAB)

    def __call__(self, tokens, want_logp=False):
        ids, counts = tokens.numpy(), COUNTS[self.number]
        for first, last in self.spans(tokens):
            logp = np.log(counts / counts.sum())
            yield first, -logp[ids[first:last]], np.tile(logp, (last - first, 1))
            np.add.at(counts, ids[first:last], 1)


make_evaluator = Good
