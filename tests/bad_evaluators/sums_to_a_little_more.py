"""Gives distributions that sum to 1.0001."""

from honest import Evaluator


class Bad(Evaluator):
    def predict(self, tokens, first, last):
        return super().predict(tokens, first, last) + 1e-4


make_evaluator = Bad
