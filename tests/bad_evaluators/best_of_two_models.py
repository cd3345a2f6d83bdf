"""Scores each chunk with two models and keeps the one that did better on the chunk."""

import torch
from honest import VOCAB, Evaluator


class Bad(Evaluator):
    def predict(self, tokens, first, last):
        one = super().predict(tokens, first, last)
        two = torch.full((last - first, VOCAB), 1 / VOCAB).log()
        return min(one, two, key=lambda logp: self.piece(tokens, first, logp)[1].sum())


make_evaluator = Bad
