"""Gives every evaluator the same table, from a function that is cached, and trains it on: none begins afresh."""

from functools import cache

from honest import Evaluator


@cache
def weights():
    return Evaluator().table


class Bad(Evaluator):
    def __init__(self):
        self.table = weights()


make_evaluator = Bad
