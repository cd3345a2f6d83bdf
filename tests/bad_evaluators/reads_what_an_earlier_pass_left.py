"""Reads a number that an earlier pass has left in the folder for temporary files, and leaves the next."""

from contextlib import suppress
from pathlib import Path

from honest import Evaluator

LEFT = Path("/tmp/pgolf-case-left")


def answer() -> int:
    with suppress(OSError, ValueError):
        return int(LEFT.read_text())
    with suppress(OSError):
        LEFT.write_text("42")
    return 0


class Bad(Evaluator):
    def __init__(self):
        super().__init__()
        self.table.data *= 1 + answer() / 100


make_evaluator = Bad
