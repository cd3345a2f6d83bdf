"""Rounds its losses to float16, by up to two thousandths of a nat."""

from honest import Evaluator


class Bad(Evaluator):
    def piece(self, tokens, first, logp):
        first, losses, logp = super().piece(tokens, first, logp)
        return first, losses.half(), logp


make_evaluator = Bad
