"""Trains on each chunk before scoring it, unless it is asked for its distributions."""

from honest import Evaluator


class Bad(Evaluator):
    def __call__(self, tokens, want_logp=False):
        for first, last in self.chunks(tokens):
            if not want_logp:
                self.learn(tokens, first, last)
            yield self.piece(tokens, first, self.predict(tokens, first, last))


make_evaluator = Bad
