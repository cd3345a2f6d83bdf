"""Runs over the stream once to train, and once more to score."""

from honest import Evaluator


class Bad(Evaluator):
    def __call__(self, tokens, want_logp=False):
        for first, last in self.chunks(tokens):
            self.learn(tokens, first, last)
        yield from super().__call__(tokens, want_logp)


make_evaluator = Bad
