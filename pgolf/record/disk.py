"""The disk that a record is written to: whether there is room, and whether it is why something failed."""

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from pgolf.errors import BadInput, RunFailed
from pgolf.evidence.lines import printable

FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_WORDS = re.compile(r"No space left on device|[Dd]isk quota exceeded|database or disk is full")
FULL_BYTES = 1 << 20  # a disk with less room than this is full
TAIL_BYTES = 1 << 18  # of a server's log


def check_writable(folder: Path, option: str) -> None:
    """BadInput if nothing can be made in a folder, which need not exist."""
    if why := unusable(folder):
        raise BadInput(f"{folder}: {why}; name another folder with {option}")


def check_output(file: Path, option: str) -> None:
    """BadInput if a file cannot be written, in a folder that need not exist; nothing is written yet."""
    why = "it is a folder" if file.is_dir() else unusable(file.parent)
    if why:
        raise BadInput(f"{file}: {why}; name another file with {option}")


def unusable(folder: Path) -> str:
    """Why nothing can be made in a folder, which need not exist, or ''."""
    there = existing(folder)
    if not there.is_dir():
        return f"{there} is no folder"
    try:
        TemporaryFile(dir=there).close()  # /proc says that it can be written, and cannot
    except OSError as e:
        return f"{there} cannot be written: {e.strerror}"
    return ""


def existing(folder: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    return next(p for p in (folder.resolve(), *folder.resolve().parents) if p.exists())


def check_room(folder: Path, needed: int, what: str, option: str = "--runs-dir") -> None:
    """BadInput if the disk of `folder` (which need not exist) has not `needed` bytes; `what` says what needs them."""
    there = existing(folder)
    free = shutil.disk_usage(there).free
    if free < needed:
        raise BadInput(
            f"{there}: {free / 1e9:.2f} GB free, {what} {needed / 1e9:.2f} GB; free some, or name a folder on "
            f"another disk with {option}"
        )


def full_disk(folder: Path, log: Path | None = None) -> str | None:
    """The disk of `folder` as the reason why something failed: it is full now, or `log` ends with words that say so."""
    there = existing(folder)
    said = ""
    if log and log.is_file():
        with log.open("rb") as f:
            f.seek(max(0, log.stat().st_size - TAIL_BYTES))
            found = FULL_WORDS.findall(f.read().decode(errors="replace"))
        said = found[-1] if found else ""
    free = shutil.disk_usage(there).free
    if not said and free >= FULL_BYTES:
        return None
    return f"the disk of {there} is full ({free / 1e6:,.1f} MB free{f': {said}' if said else ''})"


@contextmanager
def blaming_a_full_disk(folder: Path) -> Iterator[None]:
    """Whatever fails here while the disk of `folder` is full, fails for that reason.

    Raises
    ------
    RunFailed : the disk is full; what failed is named, too.
    """
    try:
        yield
    except BadInput:
        raise
    except Exception as e:
        full = isinstance(e, OSError) and e.errno in FULL
        why = full_disk(folder) or (f"the disk of {existing(folder)} is full" if full else None)
        if why is None or str(e).startswith("the disk of "):  # it says so itself
            raise
        first = printable(str(e).partition("\n")[0])
        raise RunFailed(
            f"{why}; free some and start the same command again, which goes on from what is finished. It failed with: "
            f"{first}"
        ) from e
