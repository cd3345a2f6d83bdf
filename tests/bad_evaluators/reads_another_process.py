"""Reads a number from another process's command line."""

from contextlib import suppress
from pathlib import Path

from honest import Evaluator


def answer() -> int:
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            _, found, number = file.read_bytes().partition(b"pgolf-case-answer=")
            if found:
                return int(number[:2])
    return 0


class Bad(Evaluator):
    def __init__(self):
        super().__init__()
        self.table.data *= 1 + answer() / 100


make_evaluator = Bad
