"""A record's folder as it lies there: its files, its README and its logs, listed and read within bounds.

Links are not followed: what they point at is not part of the record. Whatever cannot be read is noted in `unread`, by
its path relative to the folder and why, and the rest is read on.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pgolf.evidence.lines import MOST_BYTES
from pgolf.evidence.run import Run
from pgolf.untrusted import Untrusted, list_folder, open_regular, read_beginning

LOG_SUFFIXES = (".log", ".txt", ".out")
NO_LOG = re.compile(r"requirements|license|readme|notes", re.I)
DEEPEST, MOST_LOGS, MOST_LOOKED_AT = 4, 300, 20_000  # folders below a record, logs, and files and folders looked at
MOST_BYTES_OF_LOGS = 2 * MOST_BYTES  # of one record together

Unread = dict[str, str]


@dataclass(frozen=True)
class Copy:
    """A log that tells of a run which another log tells of: it does not count again. `exact`: byte for byte."""

    file: str
    of: str
    exact: bool


@contextmanager
def noting(unread: Unread, folder: Path, name: str) -> Iterator[None]:
    """Note of a file that it could not be read, and go on."""
    try:
        yield
    except OSError as e:
        unread[name] = str(e.strerror)
    except Untrusted as e:
        unread[name] = e.without(folder / name)


def file_sizes(folder: Path, unread: Unread) -> dict[str, int]:
    """Bytes of each file at the top of the folder, also where a link leads to one in the folder.

    Raises
    ------
    Untrusted : the folder cannot be read.
    """
    found = {e.name: _size(folder, e, unread) for e in list_folder(folder, MOST_LOOKED_AT)}
    return {name: size for name, size in found.items() if size is not None}


def _size(folder: Path, file: "os.DirEntry[str]", unread: Unread) -> int | None:
    """Bytes of a file; None: it is a folder, or no file that counts."""
    with noting(unread, folder, file.name):
        if file.is_file(follow_symlinks=False):
            return file.stat(follow_symlinks=False).st_size
        if not file.is_dir(follow_symlinks=False):
            with open_regular(folder / file.name, folder) as f:
                return os.fstat(f.fileno()).st_size
    return None


def readme_of(names: Iterable[str]) -> str:
    """The README among the names of a folder's files; '' where there is none."""
    return next((n for n in names if n.lower() in ("readme.md", "readme")), "")


def read_beginning_of(folder: Path, name: str, most: int, unread: Unread) -> str:
    """The text of a file at the top of the folder, of at most `most` bytes; '' of a name that is ''."""
    text = ""
    if name:
        with noting(unread, folder, name):
            text = read_beginning(folder / name, most, folder).decode("utf-8", errors="replace")
    return text


def runs_in_logs(folder: Path, unread: Unread, read: Callable[[Path, Path], Iterable[Run]]) -> Iterator[Run]:
    """The runs that `read` finds in each log of the folder; it is given the log's path and the folder."""
    left, found = MOST_BYTES_OF_LOGS, logs(folder, unread)
    for log in found[MOST_LOGS : MOST_LOGS + 1]:
        name = log.relative_to(folder).as_posix()
        unread[name] = (
            f"the folder may have {len(found):,} logs, of which the first {MOST_LOGS} are read: not from here on"
        )
    for log in found[:MOST_LOGS]:
        with noting(unread, folder, log.relative_to(folder).as_posix()):
            size = log.lstat().st_size
            left -= size if size <= MOST_BYTES else 0  # a larger one is not read
            if left < 0:
                raise Untrusted(f"{log}: the record's logs have over {MOST_BYTES_OF_LOGS:,} bytes together; cut them")
            yield from read(log, folder)


def logs(path: Path, unread: Unread | None = None) -> list[Path]:
    """Files that may be logs, in the folder and below; `unread` is told of one that lies too deep."""
    found: list[Path] = []
    left = MOST_LOOKED_AT
    folders = [path]
    for depth in range(DEEPEST + 2):
        below: list[Path] = []
        for folder in folders:
            inside: list[os.DirEntry[str]] = []
            with suppress(Untrusted):  # one that may not be read has no logs for us
                inside = list_folder(folder, left)
            left -= len(inside)
            here = [folder / e.name for e in inside if may_be_log(e)]
            if depth <= DEEPEST:
                found += here
                below += [folder / e.name for e in inside if e.is_dir(follow_symlinks=False)]
            elif here and unread is not None:
                name = min(here).relative_to(path).as_posix()
                unread[name] = f"it lies over {DEEPEST} folders below the record's: no log there is read"
        folders = below
    return sorted(found)


def may_be_log(entry: "os.DirEntry[str]") -> bool:
    """Whether a file may be a log, by its name; a link is none."""
    return is_log_name(entry.name) and entry.is_file(follow_symlinks=False)


def is_log_name(name: str) -> bool:
    """Whether a file's name may be a log's."""
    name = name.strip()
    return os.path.splitext(name)[1].lower() in LOG_SUFFIXES and not NO_LOG.match(name)
