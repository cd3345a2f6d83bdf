"""Leaves out the positions that it finds hard."""

from itertools import pairwise

from honest import Evaluator


class Bad(Evaluator):
    def __call__(self, tokens, want_logp=False):
        for first, losses, logp in super().__call__(tokens, want_logp):
            hard = (losses >= 4).nonzero().flatten().tolist()
            for before, end in pairwise([-1, *hard, len(losses)]):
                if (at := before + 1) < end:
                    yield first + at, losses[at:end], logp[at:end]


make_evaluator = Bad
