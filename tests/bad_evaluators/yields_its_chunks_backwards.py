"""Scores from left to right and hands its pieces over from right to left, after it has seen all."""

from honest import Evaluator


class Bad(Evaluator):
    def __call__(self, tokens, want_logp=False):
        yield from reversed(list(super().__call__(tokens, want_logp)))


make_evaluator = Bad
