"""Yields the whole stream as one piece, once all chunks are scored; what it learns is within the call."""

import torch
from base import Evaluator


class Good(Evaluator):
    def __call__(self, tokens, want_logp=False):
        yield self.piece(tokens, 1, torch.cat([logp for _, _, logp in super().__call__(tokens, want_logp)]))


make_evaluator = Good
