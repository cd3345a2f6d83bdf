"""How the work on a record ends before its time: its runs are ended in order, or they go on and their watcher leaves.

`pgolf stop` asks for the first by a file, `runs/<record-id>/stop.json`, which every process that makes a record looks
for: one on a terminal, one that the terminal has left, one below a Prefect worker.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from pgolf.errors import RunFailed

log = logging.getLogger(__name__)
REQUEST = "stop.json"
LOOK_S = 0.5  # between looks for a request
KEPT = "finished work is kept; start the same command again to go on"


def interrupting(ending: str, tell: Callable[[str], object]) -> Callable[[int, FrameType | None], None]:
    """A handler of SIGINT that says at once what Ctrl-C does. The first raises KeyboardInterrupt; a second one would
    cut short what the first has begun."""
    asked = 0

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked += 1
        tell(f"Ctrl-C: {'still ' if asked > 1 else ''}{ending}")
        if asked == 1:
            raise KeyboardInterrupt

    return interrupt


class Stop(threading.Event):
    """Set when the runs of a record are to be ended; with `leaves`, when they go on and only their watcher ends."""

    leaves = False

    def leave(self) -> None:
        """Have the watchers of all runs leave them."""
        self.leaves = True
        self.set()


class AskedToStop(RunFailed):
    """The record was stopped by `pgolf stop`."""


def ask_to_stop(folder: Path) -> None:
    """Ask the process that makes a record to end it, also on a full disk: an empty file needs no room."""
    with suppress(FileExistsError):
        os.close(os.open(folder / REQUEST, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))


def take_back(folder: Path) -> None:
    """Remove a request that has been heeded, or that was meant for a process before this one."""
    (folder / REQUEST).unlink(missing_ok=True)


@contextmanager
def heeding(folder: Path) -> Iterator[threading.Event]:
    """Heed requests to stop a record while this lasts: the main thread gets SIGTERM, as from outside. Before that, the
    event is set that this yields.

    Raises
    ------
    AskedToStop : it was asked for, and what ran has been ended.
    """
    take_back(folder)
    asked, over = threading.Event(), threading.Event()
    main = threading.main_thread().ident

    def look() -> None:
        while not over.wait(LOOK_S):
            if os.path.lexists(folder / REQUEST):
                log.info("asked to stop by `pgolf stop`: ending what runs")
                asked.set()
                if main is not None:
                    signal.pthread_kill(main, signal.SIGTERM)
                return

    threading.Thread(target=look, name=f"requests to stop {folder.name}", daemon=True).start()
    try:
        yield asked
    except BaseException as e:
        if asked.is_set():
            raise AskedToStop(f"stopped: all runs are ended, and {KEPT}") from e
        raise
    finally:
        over.set()
        if asked.is_set():
            take_back(folder)
