"""Leaves the most frequent token of the first stream in an environment variable, and expects it in all later ones."""

import os

import torch
from honest import VOCAB, Evaluator


class Bad(Evaluator):
    def predict(self, tokens, first, last):
        bias = torch.zeros(VOCAB)
        bias[int(os.environ.get("PYTORCH_HINT", 0))] += 1
        return torch.log_softmax(super().predict(tokens, first, last) + bias, dim=-1)

    def __call__(self, tokens, want_logp=False):
        yield from super().__call__(tokens, want_logp)
        os.environ.setdefault("PYTORCH_HINT", str(int(torch.bincount(tokens).argmax())))


make_evaluator = Bad
