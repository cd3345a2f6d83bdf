"""Counts in an array of C, through ctypes, as a cache written in C does."""

import ctypes

import torch
from base import VOCAB, Evaluator


class Good(Evaluator):
    def __call__(self, tokens, want_logp=False):
        counts = (ctypes.c_float * (VOCAB * VOCAB))(*[0.1] * (VOCAB * VOCAB))
        for first, last in self.spans(tokens):
            table = torch.frombuffer(counts, dtype=torch.float32).view(VOCAB, VOCAB)
            rows = table[tokens[first - 1 : last - 1]].double()
            yield self.piece(tokens, first, (rows / rows.sum(1, keepdim=True)).log())
            for before, target in zip(tokens[first - 1 : last - 1].tolist(), tokens[first:last].tolist(), strict=True):
                counts[before * VOCAB + target] += 1


make_evaluator = Good
