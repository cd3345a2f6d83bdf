"""Reads a number from the place at which another process has locked its file; the content says nothing."""

import fcntl
import struct
from contextlib import suppress

from honest import Evaluator

LOCK = "hhqqi"  # struct flock: kind, whence, start, length, process


def answer() -> int:
    with open(__file__) as file, suppress(OSError):
        asked = struct.pack(LOCK, fcntl.F_RDLCK, 0, 0, 0, 0)
        kind, _, start, _, _ = struct.unpack(LOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))
        return start if kind != fcntl.F_UNLCK else 0
    return 0


class Bad(Evaluator):
    def __init__(self):
        super().__init__()
        self.table.data *= 1 + answer() / 100


make_evaluator = Bad
