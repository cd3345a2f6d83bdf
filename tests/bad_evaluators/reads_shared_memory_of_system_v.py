"""Reads shared memory that a helper has made under a number."""

import ctypes

from honest import Evaluator


def answer() -> int:
    libc = ctypes.CDLL(None)
    libc.shmat.restype = ctypes.c_void_p
    segment = libc.shmget(0x7067, 1, 0)
    if segment < 0:
        return 0
    return ctypes.string_at(libc.shmat(segment, None, 0o10000), 1)[0]


class Bad(Evaluator):
    def __init__(self):
        super().__init__()
        self.table.data *= 1 + answer() / 100


make_evaluator = Bad
