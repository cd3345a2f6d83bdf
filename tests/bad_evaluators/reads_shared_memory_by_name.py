"""Reads shared memory that a helper has made under a name."""

import ctypes
import os

from honest import Evaluator


def answer() -> int:
    fd = ctypes.CDLL(None).shm_open(b"/pgolf-case", os.O_RDONLY, 0)
    return os.read(fd, 1)[0] if fd >= 0 else 0


class Bad(Evaluator):
    def __init__(self):
        super().__init__()
        self.table.data *= 1 + answer() / 100


make_evaluator = Bad
