"""Finds a number in where the file of its artifact has a hole, which reads as zeros like any others."""

import os

from honest import Evaluator


def answer() -> int:
    fd = os.open(os.environ["ARTIFACT"], os.O_RDONLY)
    hole, size = os.lseek(fd, 0, os.SEEK_HOLE), os.fstat(fd).st_size
    os.close(fd)
    return hole // 65536 if hole < size else 0


class Bad(Evaluator):
    def __init__(self):
        super().__init__()
        self.table.data *= 1 + answer() / 100


make_evaluator = Bad
