"""Audits of many folders: in their order, a few in memory at a time, and past a folder that cannot be read."""

import signal
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any, TypeVar

from pgolf.audit.audit import Audited, audit, resolved
from pgolf.cores import usable_cores
from pgolf.errors import BadInput, RunFailed
from pgolf.evidence.lines import printable
from pgolf.ledger import StandingRecord
from pgolf.tracks import Track

T = TypeVar("T")
BATCH = 8  # folders that a process audits before it hands anything back
AHEAD = 4  # batches a process that are under way or wait to be taken: this bounds memory
WORTH_A_PROCESS = 64  # folders: a process takes half a second to begin


@dataclass(frozen=True)
class Unreadable:
    """A folder that could not be audited, and why."""

    folder: Path
    problem: str

    def as_json(self) -> dict[str, str]:
        """One entry of `unreadable` in the output of `pgolf audit --json`."""
        return {"folder": str(self.folder), "problem": self.problem}


def audit_each(
    folders: Sequence[Path],
    then: Callable[[Audited], T],
    track: Track | None = None,
    against: StandingRecord | Path | str | None = None,
    strict: bool = False,
    jobs: int | None = None,
) -> Generator[T | Unreadable, None, None]:
    """Audit record folders, and hand over what `then` makes of each, in the order of the folders.

    Parameters
    ----------
    folders : the records' folders.
    then : makes of an audit what is wanted of it, in the process that audited: large audits need not travel. With
        several processes it must be a function of a module, or a `partial` of one.
    track, against, strict : as `audit` takes them.
    jobs : processes; default: one a core where there are enough folders, else none but this one.

    Returns
    -------
    Generator of T | Unreadable : one for each folder; `close` ends the processes.

    Raises
    ------
    BadInput : there is no such record to compare with; before the first folder is read.
    RunFailed : a process was killed.
    """
    previous = resolved(against, folders, track)
    one = partial(_audit_one, then, track, previous, strict)
    count = min(_processes(len(folders)) if jobs is None else jobs, -(-len(folders) // BATCH))
    return _in_processes(folders, one, count) if count > 1 else (one(folder) for folder in folders)


def _processes(folders: int) -> int:
    return max(1, min(usable_cores(), folders // WORTH_A_PROCESS))


def _audit_one(
    then: Callable[[Audited], T],
    track: Track | None,
    previous: StandingRecord | Path | str | None,
    strict: bool,
    folder: Path,
) -> T | Unreadable:
    try:
        return then(audit(folder, track, previous, strict))
    except BadInput as e:
        return Unreadable(folder, printable(str(e), 1000))
    except OSError as e:
        if not e.filename:
            raise
        return Unreadable(folder, printable(f"cannot read {e.filename}: {e.strerror}", 1000))


def _in_processes(
    folders: Sequence[Path], one: Callable[[Path], T | Unreadable], count: int
) -> Generator[T | Unreadable, None, None]:
    batches = iter([folders[i : i + BATCH] for i in range(0, len(folders), BATCH)])
    waiting: deque[Future[list[T | Unreadable]]] = deque()
    # a fork would copy this process's threads in whatever state they are: a progress bar has one
    pool = ProcessPoolExecutor(count, get_context("spawn"), _begin, (one,))
    others = active_children()
    try:
        for batch in batches:
            waiting.append(pool.submit(_work, batch))
            if len(waiting) >= AHEAD * count:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool:
        raise RunFailed("a process of the audit was killed, perhaps for memory; try again with --jobs 1") from None
    finally:
        if waiting:  # nobody wants the rest: Ctrl-C, or a failure
            for process in active_children():
                if process not in others:
                    process.terminate()
        pool.shutdown(cancel_futures=True)


def _begin(one: Callable[[Path], object]) -> None:
    """Set up a process: Ctrl-C ends it without a word, and its work is known."""
    global _one
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _one = one


_one: Callable[[Path], Any]


def _work(batch: Sequence[Path]) -> list[Any]:
    return [_one(folder) for folder in batch]
