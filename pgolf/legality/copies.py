"""Copies of the files that a sealed process may read: their content, and nothing that anybody can write beside it."""

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from pgolf.errors import BadInput

MOST_COPIED = 1 << 30  # bytes; files are copied from the smallest on, and those that no longer fit are read in place
MOST_FILES = 4000  # of an evaluator's own code
CODE = (".py", ".so")


def copy_files(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Copy files, and all files of folders, to their paths below `folder`. Returns those that are too large for that.

    Copies have one time, one mode and no extended attributes, and no link among them. A link in a folder that leads out
    of `paths` is left out.
    """
    found = sorted(dict.fromkeys(_files(paths)), key=lambda file: os.stat(file).st_size)
    left, large = MOST_COPIED, []
    for file in found:
        left -= os.stat(file).st_size
        if left < 0:
            large.append(file)
            continue
        copy = folder / file.relative_to("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        with file.open("rb") as source, copy.open("wb") as target:  # byte by byte: a quicker way may copy holes
            first = source.read(4)
            target.write(first)
            shutil.copyfileobj(source, target, 1 << 20)
        copy.chmod(0o555 if first in (b"\x7fELF", b"#!/u", b"#!/b") else 0o444)
    for path, _, names in os.walk(folder, topdown=False):
        for name in (*names, "."):
            os.utime(Path(path) / name, (0, 0))
    return large


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    places = [path.resolve() for path in paths]
    for path in map(_absolute, paths):
        if path.is_file():
            yield path
        for below in path.rglob("*") if path.is_dir() else ():
            target = Path(os.path.realpath(below))
            if any(target.is_relative_to(place) for place in places) and stat.S_ISREG(_mode(target)):
                yield below


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def own_code(file: Path) -> list[Path]:
    """The evaluator's file, the modules beside it, and packages: folders beside them that hold modules themselves.

    Raises
    ------
    BadInput : those are more files than an evaluator has.
    """
    file = _absolute(file)
    found, waiting = {file: None}, [file.parent]
    while waiting:
        folder = waiting.pop()
        entries = [Path(entry.path) for entry in os.scandir(folder)]
        code = [path for path in entries if path.suffix in CODE and path.is_file()]
        if code or folder == file.parent:
            found |= dict.fromkeys(code)
            waiting += [path for path in entries if path.is_dir() and _is_package(path)]
        if len(found) > MOST_FILES:
            raise BadInput(f"{file.parent}: over {MOST_FILES} Python files; give the evaluator a folder of its own")
    return sorted(found)


def _is_package(folder: Path) -> bool:
    other = folder.is_symlink() or folder.name == "__pycache__" or (folder / "pyvenv.cfg").exists()
    return folder.name.isidentifier() and not other
