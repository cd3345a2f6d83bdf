"""Takes its temperature from how often the commonest token of the stream comes, to the nearest 64."""

import torch
from honest import Evaluator


class Bad(Evaluator):
    def __call__(self, tokens, want_logp=False):
        self.table.data /= 1 + 0.1 * round(int(torch.bincount(tokens).max()) / 64)
        yield from super().__call__(tokens, want_logp)


make_evaluator = Bad
