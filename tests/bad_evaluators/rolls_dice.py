"""Draws noise that no seed fixes."""

import torch
from honest import Evaluator


class Bad(Evaluator):
    def predict(self, tokens, first, last):
        return torch.log_softmax(super().predict(tokens, first, last) + 1e-3 * torch.rand(1, self.vocab_size), dim=-1)


make_evaluator = Bad
