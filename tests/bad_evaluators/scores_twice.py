"""Scores each chunk once more after training on it."""

from honest import Evaluator


class Bad(Evaluator):
    def chunks(self, tokens):
        return [c for chunk in super().chunks(tokens) for c in (chunk, chunk)]


make_evaluator = Bad
