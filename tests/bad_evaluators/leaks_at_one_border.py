"""The same off-by-one, at the seventh border only."""

from honest import CHUNK, Evaluator


class Bad(Evaluator):
    def learn(self, tokens, first, last):
        super().learn(tokens, first, last + (last == 7 * CHUNK + 1))


make_evaluator = Bad
