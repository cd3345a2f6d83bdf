"""Trains three epochs of AdamW on each chunk once it is scored, in shuffled pieces by a fixed seed."""

import random

import torch
from base import Evaluator


class Good(Evaluator):
    def __init__(self):
        super().__init__()
        self.adamw = torch.optim.AdamW(self.model.parameters(), lr=0.01, weight_decay=0.01)
        self.draw = random.Random(1337)

    def learn(self, tokens, first, last):
        for _ in range(3):
            parts = [(s, min(s + 32, last)) for s in range(first, last, 32)]
            self.draw.shuffle(parts)
            for part in parts:
                self.adamw.zero_grad()
                self.loss(tokens, *part).backward()
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                self.adamw.step()


make_evaluator = Good
