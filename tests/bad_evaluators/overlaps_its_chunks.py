"""Scores the last eight positions of each chunk again with the next, after it has trained on them."""

from honest import Evaluator


class Bad(Evaluator):
    def chunks(self, tokens):
        return [(max(1, first - 8), last) for first, last in super().chunks(tokens)]


make_evaluator = Bad
