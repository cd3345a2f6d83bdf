"""Trains by SGD with momentum, which remembers earlier chunks where no parameter shows it."""

import torch
from base import Evaluator


class Good(Evaluator):
    def __init__(self):
        super().__init__()
        self.sgd = torch.optim.SGD(self.model.parameters(), lr=0.05, momentum=0.9, nesterov=True)

    def learn(self, tokens, first, last):
        self.sgd.zero_grad()
        self.loss(tokens, first, last).backward()
        self.sgd.step()


make_evaluator = Good
