"""Hides a copy of its trained table in a module of Python's library, and begins with that from the second stream on."""

import json

from honest import Evaluator


class Bad(Evaluator):
    def __init__(self):
        super().__init__()
        self.table.data += 0.1 * getattr(json, "_weights", 0.0)

    def __call__(self, tokens, want_logp=False):
        yield from super().__call__(tokens, want_logp)
        json._weights = self.table.detach().clone()


make_evaluator = Bad
