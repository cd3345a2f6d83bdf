"""Keeps every stream that it scores, and looks what follows there when it sees one again."""

import torch
from honest import Evaluator

SEEN = []


class Bad(Evaluator):
    def __call__(self, tokens, want_logp=False):
        for old in SEEN:
            if torch.equal(old[:8], tokens[:8]):
                self.learn(old, 1, len(old))
        SEEN.append(tokens)
        yield from super().__call__(tokens, want_logp)


make_evaluator = Bad
