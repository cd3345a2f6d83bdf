"""Scores the whole stream once for each learning rate, keeps silent, and scores it again with the best of them."""

import copy

import torch
from honest import Evaluator
from torch import nn


class Bad(Evaluator):
    rate, temperature, epochs = 5.0, 1.0, 1
    options = ({"rate": 5.0}, {"rate": 1.25})

    def predict(self, tokens, first, last):
        return torch.log_softmax(self.table[tokens[first - 1 : last - 1]] / self.temperature, dim=-1).detach()

    def learn(self, tokens, first, last):
        for _ in range(self.epochs):
            loss = nn.functional.cross_entropy(self.table[tokens[first - 1 : last - 1]], tokens[first:last])
            (gradient,) = torch.autograd.grad(loss, self.table)
            self.table.data -= self.rate * gradient

    def measure(self, losses):
        return losses.sum()

    def dry_run(self, tokens, option):
        other = copy.deepcopy(self)
        vars(other).update(option)
        return float(self.measure(torch.cat([losses for _, losses, _ in Evaluator.__call__(other, tokens)])))

    def __call__(self, tokens, want_logp=False):
        vars(self).update(min(self.options, key=lambda option: self.dry_run(tokens, option)))
        yield from super().__call__(tokens, want_logp)


make_evaluator = Bad
