"""Scores the first three quarters of the stream, and says nothing of the rest."""

from honest import Evaluator


class Bad(Evaluator):
    def chunks(self, tokens):
        chunks = super().chunks(tokens)
        return chunks[: -(-len(chunks) * 3 // 4)]


make_evaluator = Bad
