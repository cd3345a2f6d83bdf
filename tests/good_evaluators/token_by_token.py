"""Scores and learns token by token in Python's own arithmetic, one to two milliseconds a token."""

import math
import random

from base import VOCAB

WIDTH, RATE = 24, 0.05


class Good:
    vocab_size = VOCAB

    def __init__(self):
        draw = random.Random(0)
        self.embed, self.out = ([[draw.gauss(0, 0.3) for _ in range(WIDTH)] for _ in range(VOCAB)] for _ in range(2))

    def __call__(self, tokens, want_logp=False):
        ids = tokens.tolist()
        for t in range(1, len(ids)):
            h = self.embed[ids[t - 1]]
            logits = [sum(a * b for a, b in zip(h, row, strict=True)) for row in self.out]
            most = max(logits)
            total = math.log(sum(math.exp(x - most) for x in logits)) + most
            logp = [x - total for x in logits]
            yield t, [-logp[ids[t]]], [logp] if want_logp else None
            for token, row in enumerate(self.out):
                step = RATE * ((token == ids[t]) - math.exp(logp[token]))
                for i, x in enumerate(h):
                    row[i] += step * x


make_evaluator = Good
