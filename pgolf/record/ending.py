"""End a record in order, whoever makes it, and also where nobody does any more and its runs go on."""

import errno
import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pgolf.errors import BadInput, RunFailed
from pgolf.pods.local import LocalPod
from pgolf.pods.places import end_on_machines, has_rented, lock_if_free, wind_up
from pgolf.pods.processes import pods_alive
from pgolf.pods.settings import Settings
from pgolf.pods.slots import lock_file
from pgolf.record.live import now, read_live, write_live
from pgolf.record.orchestrator import Orchestrator, read_orchestrator
from pgolf.record.stopping import ask_to_stop, take_back

PATIENCE_S = 300.0  # for the process that makes a record: it ends runs, and fetches what is finished elsewhere
POLL_S = 0.2
LOOK_S = 2.0  # who only looks whether anybody is at a record holds its lock for a moment


def runs_alive(record: Path) -> list[Path]:
    """The attempts of a record that run on this machine."""
    return sorted(folder for folder in pods_alive() if folder.is_relative_to(record))


def end_left(record: Path, settings: Settings) -> list[Path]:
    """End what runs of a record whose lock the caller holds; return the attempts that ran. Rented pods are another
    matter: see `wind_up`.

    Raises
    ------
    RunFailed : something may go on, on a machine that is out of reach; all else is ended.
    """
    here = runs_alive(record)
    for folder in here:
        LocalPod(folder).kill()
    live = read_live(record)
    there, unsure = end_on_machines(record, settings)
    ended = here + there
    if unsure and live and live.state in ("running", "left"):
        where = "; ".join(f"{name}: {why}" for name, why in unsure.items())
        raise RunFailed(f"{record.name}: runs of it may go on elsewhere ({where}); then stop it again")
    if live and live.state in ("running", "left"):
        with suppress(OSError):  # on a full disk it is ended all the same
            write_live(
                record,
                replace(live, state="stopped", verdict="all runs are ended", doing="", left=None, updated=now()),
            )
    return ended


def stop_record(record: Path, settings: Settings, key: str | None, tell: Callable[[str], None]) -> bool:
    """End a record: its runs with every process, and its pods. Waits until it is so; whether anything was ended.

    Raises
    ------
    RunFailed : the process that makes it does not end, another one has taken it up, or something of it goes on.
    """
    busy = is_busy(record)
    if busy:
        _ask(record, read_orchestrator(record), tell)
    with lock_if_free(record, LOOK_S) as free:
        if not free:  # another process, which nobody has asked
            raise RunFailed(f"{record.name}: another process has taken it up meanwhile; to end that, stop it again")
        ended = end_left(record, settings)
        if left := runs_alive(record):
            raise RunFailed(f"{record.name}: still running: {', '.join(map(str, left))}; try again, or end it by hand")
    rented = has_rented(record)
    if rented:
        tell("ending its rented pods")
        wind_up(record, settings, key)
        if has_rented(record):
            raise RunFailed(f"{record.name}: not all of its pods are ended; look: pgolf pods list")
    return busy or rented or bool(ended)


class Busy(BadInput):
    """Another process works on the record in `folder`, by the same plan."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(
            f"another process is at {folder} just now; `pgolf watch {folder.name}` shows how it goes. Wait for it, or "
            "name another folder with --id"
        )


def is_busy(record: Path) -> bool:
    """Whether a process of this machine, or of another one with this file system, works on a record.

    Writes nothing, and follows no link: the folder may be somebody else's, or on a disk that cannot be written.
    """
    try:
        lock = os.open(lock_file(record), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as e:
        if e.errno in (errno.ENOENT, errno.ELOOP):  # nobody has been at it, or the link is none of ours
            return False
        if e.errno == errno.EACCES:  # another user's, who may be at it
            return True
        raise
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _ask(record: Path, who: Orchestrator | None, tell: Callable[[str], None]) -> None:
    """Ask the process that makes a record to end it, and wait until it has."""
    if who is None:
        raise RunFailed(f"{record.name}: the process at it takes no requests; end that by Ctrl-C, and try again")
    tell("asking the process that makes it to end its runs")
    ask_to_stop(record)
    deadline = time.monotonic() + PATIENCE_S
    while read_orchestrator(record) == who and (is_busy(record) or who.ends_with_it):
        if time.monotonic() > deadline:
            take_back(record)
            pid = f"process {who.process.pid} on {who.process.host}"
            raise RunFailed(f"{record.name}: {pid} has not ended it in {PATIENCE_S:.0f} s; end that process, try again")
        time.sleep(POLL_S)
    if not is_busy(record):
        take_back(record)
