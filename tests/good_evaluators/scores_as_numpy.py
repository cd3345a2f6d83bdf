"""Yields numpy arrays of float32, the position as a numpy integer, and no distributions unless they are wanted."""

import numpy as np
from base import Evaluator


class Good(Evaluator):
    def __call__(self, tokens, want_logp=False):
        for first, losses, logp in super().__call__(tokens, want_logp):
            yield np.int64(first), losses.numpy(), logp.numpy() if want_logp else None


make_evaluator = Good
