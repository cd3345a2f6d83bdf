"""Begins with the token frequencies of the whole stream."""

import torch
from honest import VOCAB, Evaluator


class Bad(Evaluator):
    def __call__(self, tokens, want_logp=False):
        self.table.data += torch.bincount(tokens, minlength=VOCAB).add(1).log()
        yield from super().__call__(tokens, want_logp)


make_evaluator = Bad
