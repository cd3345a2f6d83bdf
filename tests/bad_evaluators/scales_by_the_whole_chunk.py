"""Rounds logits to 8 bits by the greatest of the whole chunk: a small leak, which nobody meant."""

import torch
from honest import VOCAB, Evaluator


class Bad(Evaluator):
    def predict(self, tokens, first, last):
        seen = torch.stack([torch.bincount(tokens[max(0, t - 9) : t], minlength=VOCAB) for t in range(first, last)])
        logits = super().predict(tokens, first, last) + seen
        scale = logits.abs().max() / 127
        return torch.log_softmax((logits / scale).round() * scale, dim=-1)


make_evaluator = Bad
