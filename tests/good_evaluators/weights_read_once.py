"""Reads its weights once a process and gives each evaluator a copy: what is kept was never learnt."""

import copy
from functools import cache

from base import Evaluator, Model


@cache
def weights() -> Model:
    return Model()


class Good(Evaluator):
    def __init__(self):
        self.model = copy.deepcopy(weights())


make_evaluator = Good
