"""Asks a helper that listens at a socket without a path."""

import ctypes
import struct

from honest import Evaluator


def answer() -> int:
    libc = ctypes.CDLL(None)
    name = b"\0pgolf-case"
    fd = libc.socket(1, 1, 0)
    said = ctypes.create_string_buffer(1)
    if libc.connect(fd, struct.pack(f"H{len(name)}s", 1, name), 2 + len(name)) == 0:
        libc.recv(fd, said, 1, 0)
    libc.close(fd)
    return said.raw[0]


class Bad(Evaluator):
    def __init__(self):
        super().__init__()
        self.table.data *= 1 + answer() / 100


make_evaluator = Bad
