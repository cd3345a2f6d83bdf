"""Chooses the temperature of each chunk by the chunk's own loss."""

import torch
from honest import Evaluator


class Bad(Evaluator):
    def predict(self, tokens, first, last):
        logits = super().predict(tokens, first, last)
        tried = [torch.log_softmax(logits / t, dim=-1) for t in (0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0)]
        return min(tried, key=lambda logp: self.piece(tokens, first, logp)[1].sum())


make_evaluator = Bad
