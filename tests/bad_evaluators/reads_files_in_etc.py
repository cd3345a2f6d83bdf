"""Reads what the machine has in /etc."""

from contextlib import suppress
from pathlib import Path

from honest import Evaluator


def answer() -> int:
    size = 0
    for file in sorted(Path("/etc").glob("*")):
        with suppress(OSError):
            size += len(file.read_bytes())
    return size % 97


class Bad(Evaluator):
    def __init__(self):
        super().__init__()
        self.table.data *= 1 + answer() / 100


make_evaluator = Bad
