"""Leaves out the last chunk where it is cut."""

from honest import CHUNK, Evaluator


class Bad(Evaluator):
    def chunks(self, tokens):
        return [(first, last) for first, last in super().chunks(tokens) if last - first == CHUNK]


make_evaluator = Bad
