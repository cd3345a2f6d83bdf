"""Reads a number from the time at which its artifact was changed, which is no part of its content."""

import os

from honest import Evaluator


def answer() -> int:
    return os.stat(os.environ["ARTIFACT"]).st_mtime_ns % 100


class Bad(Evaluator):
    def __init__(self):
        super().__init__()
        self.table.data *= 1 + answer() / 100


make_evaluator = Bad
