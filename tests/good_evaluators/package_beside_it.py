"""Imports a package that lies beside it, with a module that imports another."""

from base import Evaluator
from parts.scale import scaled


class Good(Evaluator):
    def predict(self, tokens, first, last):
        return scaled(super().predict(tokens, first, last))


make_evaluator = Good
