"""Reads a number from the settings of a message queue, which a helper has made."""

import ctypes
import os

from honest import Evaluator


def answer() -> int:
    libc = ctypes.CDLL(None)
    queue = libc.mq_open(b"/pgolf-case", os.O_RDONLY)
    settings = (ctypes.c_long * 8)()
    return settings[2] if queue >= 0 and libc.mq_getattr(queue, settings) == 0 else 0


class Bad(Evaluator):
    def __init__(self):
        super().__init__()
        self.table.data *= 1 + answer() / 100


make_evaluator = Bad
