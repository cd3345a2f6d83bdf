"""Announces that each document's chunks are scored from the last to the first."""

from honest_phased import Evaluator


class Bad(Evaluator):
    def steps(self, batch):
        return super().steps(batch)[::-1]


make_evaluator = Bad
