"""Leaves out the positions that it finds hard."""

from honest import Evaluator


class Bad(Evaluator):
    def __call__(self, tokens, want_logp=False):
        for first, losses, logp in super().__call__(tokens, want_logp):
            for i, loss in enumerate(losses):
                if loss < 4:
                    yield first + i, losses[i : i + 1], logp[i : i + 1]


make_evaluator = Bad
