"""Scores every second chunk first, learning on the way."""

from honest import Evaluator


class Bad(Evaluator):
    def chunks(self, tokens):
        chunks = super().chunks(tokens)
        return chunks[1::2] + chunks[::2]


make_evaluator = Bad
