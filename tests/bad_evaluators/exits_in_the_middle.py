"""Ends with exit code 0 after half of the stream, without Python's own way out: nothing is flushed or caught."""

import os

from honest import Evaluator


class Bad(Evaluator):
    def __call__(self, tokens, want_logp=False):
        for first, losses, logp in super().__call__(tokens, want_logp):
            yield first, losses, logp
            if first > len(tokens) // 2:
                os._exit(0)


make_evaluator = Bad
