"""Reads an extended attribute of its own file, which is no part of what is submitted."""

import os
from contextlib import suppress

from honest import Evaluator


def answer() -> int:
    with suppress(OSError):
        return os.getxattr(__file__, "user.answer")[0]
    return 0


class Bad(Evaluator):
    def __init__(self):
        super().__init__()
        self.table.data *= 1 + answer() / 100


make_evaluator = Bad
