"""Computes logits for a vocabulary that is padded to a multiple of 48, and cuts the padding before it normalises."""

import torch
from base import VOCAB, WIDTH, Evaluator


class Good(Evaluator):
    def __init__(self):
        super().__init__()
        draw = torch.Generator().manual_seed(5)
        self.padded = torch.randn(WIDTH, -(-VOCAB // 48) * 48, generator=draw)

    @torch.no_grad()
    def predict(self, tokens, first, last):
        logits = self.model.hidden(tokens[None, first - 1 : last - 1])[0] @ self.padded
        return logits[:, :VOCAB].log_softmax(-1)


make_evaluator = Good
