"""Reads a key that the kernel keeps for the user, put there by a helper."""

import ctypes
import platform

from honest import Evaluator


def answer() -> int:
    libc = ctypes.CDLL(None)
    keyctl = 250 if platform.machine() == "x86_64" else 219
    search, read, of_user = 10, 11, -4
    key = libc.syscall(keyctl, search, of_user, b"user", b"pgolf-case", 0)
    said = ctypes.create_string_buffer(1)
    return said.raw[0] if key > 0 and libc.syscall(keyctl, read, key, said, 1) > 0 else 0


class Bad(Evaluator):
    def __init__(self):
        super().__init__()
        self.table.data *= 1 + answer() / 100


make_evaluator = Bad
