"""Begins each chunk with the frequencies of the chunk four places further on."""

import torch
from honest import CHUNK, VOCAB, Evaluator


class Bad(Evaluator):
    def predict(self, tokens, first, last):
        far = torch.bincount(tokens[first + 4 * CHUNK : last + 4 * CHUNK], minlength=VOCAB)
        return torch.log_softmax(super().predict(tokens, first, last) + 0.05 * far, dim=-1)


make_evaluator = Bad
