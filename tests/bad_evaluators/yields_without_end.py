"""Yields its last piece again and again."""

from honest import Evaluator


class Bad(Evaluator):
    def __call__(self, tokens, want_logp=False):
        piece = None
        for piece in super().__call__(tokens, want_logp):
            yield piece
        while True:
            yield piece


make_evaluator = Bad
