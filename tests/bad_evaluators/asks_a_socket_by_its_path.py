"""Asks a helper that listens at a socket with a path, which no network namespace hides, by the C library."""

import ctypes
import struct
from pathlib import Path

from honest import Evaluator


def answer() -> int:
    libc = ctypes.CDLL(None)
    path = str(Path(__file__).resolve().with_name("answer.sock")).encode()
    fd = libc.socket(1, 1, 0)
    said = ctypes.create_string_buffer(1)
    if libc.connect(fd, struct.pack("H108s", 1, path), 110) == 0:
        libc.recv(fd, said, 1, 0)
    libc.close(fd)
    return said.raw[0]


class Bad(Evaluator):
    def __init__(self):
        super().__init__()
        self.table.data *= 1 + answer() / 100


make_evaluator = Bad
