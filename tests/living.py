"""Processes that tests look at: those of an attempt, and what is waited for meanwhile."""

import contextlib
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from pgolf.pods.local import MARK


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
    """Until `condition()` is true; fails if the process ends before that."""
    deadline = time.monotonic() + 240
    while not condition():
        assert process is None or process.poll() is None, "the record ended before that"
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def of_pod(attempt: Path) -> list[psutil.Process]:
    """The live processes of an attempt, by the mark that they carry."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == str(attempt):
                found.append(process)
    return found
