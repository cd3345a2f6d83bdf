"""Yields losses and distributions as lists of Python's floats."""

from base import Evaluator


class Good(Evaluator):
    def piece(self, tokens, first, logp):
        first, losses, logp = super().piece(tokens, first, logp)
        return first, losses.tolist(), logp.tolist()


make_evaluator = Good
