"""Optimises on each window before scoring it."""

from honest import Evaluator


class Bad(Evaluator):
    def __call__(self, tokens, want_logp=False):
        for first, last in self.chunks(tokens):
            self.learn(tokens, first, last)
            yield self.piece(tokens, first, self.predict(tokens, first, last))


make_evaluator = Bad
