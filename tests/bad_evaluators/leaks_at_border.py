"""Trains on a chunk and the one token after it: an off-by-one that shows at the first position of each chunk only."""

from honest import Evaluator


class Bad(Evaluator):
    def learn(self, tokens, first, last):
        super().learn(tokens, first, min(last + 1, len(tokens)))


make_evaluator = Bad
