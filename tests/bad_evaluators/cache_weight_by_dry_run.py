"""Mixes in the frequencies of scored tokens with the weight that gives the best median loss of the whole stream."""

import torch
from honest import VOCAB
from learning_rate_by_dry_run import Bad as Dry


class Bad(Dry):
    weight, window = 0.2, 1 << 20
    options = ({"weight": 0.2}, {"weight": 0.25})

    def predict(self, tokens, first, last):
        seen = torch.bincount(tokens[max(0, first - self.window) : first], minlength=VOCAB) + 0.1
        p = super().predict(tokens, first, last).double().exp()
        return torch.log((1 - self.weight) * p + self.weight * seen / seen.sum()).float()

    def measure(self, losses):
        return losses.median()


make_evaluator = Bad
