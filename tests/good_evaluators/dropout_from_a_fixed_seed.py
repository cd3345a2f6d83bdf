"""Trains with dropout whose randomness begins with a fixed seed in each pass: torch's, numpy's and Python's."""

import random

import numpy as np
import torch
from base import Evaluator
from torch import nn


class Good(Evaluator):
    def __call__(self, tokens, want_logp=False):
        random.seed(42)
        np.random.seed(42)
        torch.manual_seed(42)
        yield from super().__call__(tokens, want_logp)

    def learn(self, tokens, first, last):
        self.rate = 0.4 + 0.1 * random.random() + 0.1 * np.random.rand()
        super().learn(tokens, first, last)

    def loss(self, tokens, first, last):
        h = nn.functional.dropout(self.model.hidden(tokens[None, first - 1 : last - 1])[0], 0.2)
        return nn.functional.cross_entropy(h @ self.model.out, tokens[first:last])


make_evaluator = Good
