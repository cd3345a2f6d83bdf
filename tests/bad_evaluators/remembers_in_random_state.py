"""Draws noise from torch's generator, which it seeds with what the last stream held: no variable of its own has it."""

import torch
from honest import VOCAB, Evaluator


class Bad(Evaluator):
    def __call__(self, tokens, want_logp=False):
        self.table.data += 0.1 * torch.randn(VOCAB, VOCAB)
        yield from super().__call__(tokens, want_logp)
        torch.manual_seed(int(tokens.sum()))


make_evaluator = Bad
