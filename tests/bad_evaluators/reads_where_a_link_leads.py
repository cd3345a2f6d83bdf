"""Reads a number from the name that a link beside it leads to."""

import os
from contextlib import suppress
from pathlib import Path

from honest import Evaluator


def answer() -> int:
    with suppress(OSError):
        return int(os.readlink(Path(__file__).with_name("weights.py")).partition(".")[0])
    return 0


class Bad(Evaluator):
    def __init__(self):
        super().__init__()
        self.table.data *= 1 + answer() / 100


make_evaluator = Bad
