"""Gives its losses in bits where the mean is taken over a text that has more bytes than nats."""

import math

from honest import Evaluator


class Bad(Evaluator):
    def piece(self, tokens, first, logp):
        first, losses, logp = super().piece(tokens, first, logp)
        return first, losses / math.log(2), logp


make_evaluator = Bad
