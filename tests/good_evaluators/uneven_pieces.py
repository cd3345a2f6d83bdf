"""Yields pieces of 1, 2, 3, … positions, whatever its chunks are."""

import torch
from base import Evaluator


class Good(Evaluator):
    def __call__(self, tokens, want_logp=False):
        size = 1
        for first, losses, logp in super().__call__(tokens, want_logp):
            at = 0
            while at < len(losses):
                yield first + at, losses[at : at + size].clone(), torch.log_softmax(logp[at : at + size], -1)
                at, size = at + size, size % 37 + 1


make_evaluator = Good
