"""The files in an attempt's folder, which are a stranger's: names, sizes and kinds are checked before one is read, and
nothing is followed out of the folder."""

import os
import stat
from itertools import islice
from pathlib import Path, PurePosixPath

from pgolf.program import Program
from pgolf.untrusted import read_bytes

MOST_FOUND = 1000  # files that a pattern may fit before no more are looked at


def is_inside(name: str) -> bool:
    """Whether a name is a relative path without `..`."""
    place = PurePosixPath(name)
    return bool(place.parts) and not place.is_absolute() and ".." not in place.parts


def file_problem(attempt: Path, name: str, most: int | None = None) -> str | None:
    """Why a name in the attempt's folder is no file to be read, as the rest of a sentence; None: it is one.

    It has to be a regular file in the folder itself, reached over no link, not empty, and of at most `most` bytes.
    """
    if not is_inside(name):
        return "lies outside the attempt's folder"
    place = PurePosixPath(name)
    try:
        for parent in [*place.parents][-2::-1]:
            if stat.S_ISLNK(os.lstat(attempt / parent).st_mode):
                return f"lies below the link {parent}"
        found = os.lstat(attempt / place)
    except (OSError, ValueError):
        return "is missing"
    if not stat.S_ISREG(found.st_mode):
        kinds = {stat.S_IFLNK: "a link", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe"}
        return f"is {kinds.get(stat.S_IFMT(found.st_mode), 'no regular file')}"
    if found.st_size == 0:
        return "is empty"
    if not os.access(attempt / place, os.R_OK):
        return "cannot be read"
    if most is not None and found.st_size > most:
        return f"has {found.st_size:,} bytes, of which at most {most:,} are read"
    return None


def fitting(attempt: Path, program: Program, pattern: str) -> list[str]:
    """Names in the attempt's folder that fit a pattern, in order, but for files that the program came with."""
    if not is_inside(pattern):
        return []
    paths = islice(attempt.glob(pattern), MOST_FOUND)
    names = sorted(path.relative_to(attempt).as_posix() for path in paths)
    return [name for name in names if not brought(attempt, program, name)]


def brought(attempt: Path, program: Program, name: str) -> bool:
    """Whether a file is one of the program's own, as it was sent."""
    content = program.files.get(name)
    if content is None or file_problem(attempt, name, len(content)):
        return False
    return read_bytes(attempt / name, len(content), attempt) == content
