"""Fits a bias over the vocabulary to the targets of the chunk that it then scores."""

import torch
from honest import VOCAB, Evaluator


class Bad(Evaluator):
    def predict(self, tokens, first, last):
        bias = torch.bincount(tokens[first:last], minlength=VOCAB).add(1).log()
        return torch.log_softmax(super().predict(tokens, first, last) + 0.1 * bias, dim=-1)


make_evaluator = Bad
