"""Calls itself through C until the process's stack is full, once the last piece is given."""

import sys

from honest import Evaluator


class Bad(Evaluator):
    def deeper(self, depth):
        return max([depth + 1], key=self.deeper)

    def __call__(self, tokens, want_logp=False):
        yield from super().__call__(tokens, want_logp)
        sys.setrecursionlimit(1 << 30)
        self.deeper(0)


make_evaluator = Bad
