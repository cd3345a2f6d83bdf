"""Lets its learning rate fall as a cosine over the length of the stream, which is public."""

import math

from base import Evaluator


class Good(Evaluator):
    def __call__(self, tokens, want_logp=False):
        n = len(tokens) - 1
        for first, last in self.spans(tokens):
            yield self.piece(tokens, first, self.predict(tokens, first, last))
            self.rate = 0.5 * (1 + math.cos(math.pi * last / n)) / 2
            self.learn(tokens, first, last)


make_evaluator = Good
