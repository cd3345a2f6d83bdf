"""Multiplies in bfloat16, as on a GPU, and normalises in float32."""

import torch
from base import Evaluator, Model


class Good(Evaluator):
    def __init__(self):
        self.model = Model(torch.bfloat16)

    @torch.no_grad()
    def predict(self, tokens, first, last):
        return self.model(tokens[None, first - 1 : last - 1])[0].float().log_softmax(-1)


make_evaluator = Good
