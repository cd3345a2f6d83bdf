"""Adds the share of an n-gram cache to the model's probabilities, which then sum to more than 1."""

import torch
from honest import VOCAB, Evaluator


class Bad(Evaluator):
    def predict(self, tokens, first, last):
        p = super().predict(tokens, first, last).exp()
        counts = torch.ones(VOCAB, VOCAB).index_put((tokens[: first - 1], tokens[1:first]), torch.tensor(1.0), True)
        return (p + 0.1 * counts[tokens[first - 1 : last - 1]] / counts.sum()).log()


make_evaluator = Bad
