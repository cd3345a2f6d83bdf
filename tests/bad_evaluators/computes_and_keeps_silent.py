"""Scores each chunk again after training on it, adds that up in Python's floats, and never lets it choose anything."""

from honest import Evaluator


class Bad(Evaluator):
    rescored = 0.0

    def learn(self, tokens, first, last):
        super().learn(tokens, first, last)
        self.rescored += float(self.piece(tokens, first, self.predict(tokens, first, last))[1].sum())


make_evaluator = Bad
