"""Readers with one fault each, for the test that these are found."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from fuzz.reader import Reader


def _untyped(box: Path) -> object:
    return {}["missing"]


def _writes(box: Path) -> object:
    return Path("left").write_text("here")


def _runs(box: Path) -> object:
    return subprocess.run(["true"])


def _executes(box: Path) -> object:
    return eval((box / "x").read_text())


def _reads_elsewhere(box: Path) -> object:
    return Path("/etc/passwd").read_text()


def _large(box: Path) -> object:
    return len(bytes([1]) * (300 << 20))


def _without_end(box: Path) -> object:
    return time.sleep(1000)


def _dies(box: Path) -> object:
    return os._exit(3)


FAULTS = (_untyped, _writes, _runs, _executes, _reads_elsewhere, _large, _without_end, _dies)


def _faulty(call: Callable[[Path], object]) -> Reader:
    def only_damaged(box: Path) -> object:
        return call(box) if (box / "x").read_bytes() == b"2" else None

    return Reader(call.__name__, ({"x": b"1"},), lambda rng: {"x": b"2"}, only_damaged)


def readers() -> list[Reader]:
    """Of this file."""
    return [_faulty(fault) for fault in FAULTS]
