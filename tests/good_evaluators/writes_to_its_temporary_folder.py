"""Keeps its counts in a file of its temporary folder, made anew in each pass, and maps it into memory."""

import tempfile

import numpy as np
from base import VOCAB, Evaluator


class Good(Evaluator):
    def __call__(self, tokens, want_logp=False):
        ids = tokens.numpy()
        with tempfile.NamedTemporaryFile(suffix=".counts") as file:
            counts = np.memmap(file.name, np.float64, "w+", shape=(VOCAB, VOCAB))
            counts[:] = 0.1
            for first, last in self.spans(tokens):
                before, targets = ids[first - 1 : last - 1], ids[first:last]
                p = counts[before] / counts[before].sum(1, keepdims=True)
                yield first, -np.log(p[np.arange(last - first), targets]), np.log(p)
                np.add.at(counts, (before, targets), 1)
                counts.flush()


make_evaluator = Good
