"""Trains after each chunk on a replay of earlier ones, drawn by torch's own generator after a fixed seed."""

import torch
from base import Evaluator


class Good(Evaluator):
    rate = 0.2

    def __init__(self):
        torch.manual_seed(7)
        super().__init__()
        self.scored = []

    def learn(self, tokens, first, last):
        self.scored.append((first, last))
        for i in torch.randint(len(self.scored), (2,)).tolist():
            super().learn(tokens, *self.scored[i])


make_evaluator = Good
