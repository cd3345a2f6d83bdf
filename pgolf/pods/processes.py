"""Processes of this machine, told apart by (pid, start time), as a pid alone is given out again; and the pods that
something still runs for."""

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from pgolf.pods.local import MARK, START_TIME_SLACK_S


@dataclass(frozen=True)
class Identity:
    """A process: its machine's name, its pid, and its start as a Unix time."""

    host: str
    pid: int
    started: float

    @property
    def lives(self) -> bool:
        """Whether this process of this machine still runs."""
        if self.host != socket.gethostname():
            return False
        try:
            process = psutil.Process(self.pid)
            same = bool(abs(process.create_time() - self.started) < START_TIME_SLACK_S)
            return same and bool(process.status() != psutil.STATUS_ZOMBIE)
        except (psutil.Error, ValueError, OverflowError):
            return False

    @property
    def command(self) -> list[str]:
        """Its command's words; empty where it does not run, or is another user's."""
        with suppress(psutil.Error):
            return psutil.Process(self.pid).cmdline() if self.lives else []
        return []


def identity(pid: int | None = None) -> Identity:
    """The identity of a live process; by default of this one. psutil.NoSuchProcess if it is gone."""
    process = psutil.Process(pid)
    return Identity(socket.gethostname(), process.pid, process.create_time())


def pods_alive() -> set[Path]:
    """The folders of all pods of this machine for which a process runs, as far as this user may see."""
    return set(_marks())


def _marks() -> Iterator[Path]:
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # it ended meanwhile, or is another user's
            if mark := process.environ().get(MARK):
                yield Path(mark)


def has_terminal() -> bool:
    """Whether this process has a terminal that can be closed, or send it Ctrl-C, wherever its output goes."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
        return True
    except OSError:
        return False
