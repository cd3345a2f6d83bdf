"""Writing to disk so that a kill at any line leaves the old file or the new one, never half of either; and names of
files that stay in their folder."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MAX_PATH_BYTES, MAX_PART_BYTES = 1024, 200  # a part gets a suffix while it is copied; file systems allow 255


def write_atomic(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """Replace `path` by `content`, with these permissions: temporary file beside it, fsync, rename, fsync of the
    folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    try:
        fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as e:
        e.filename = str(path)  # nobody knows the other name
        raise
    try:
        try:
            with os.fdopen(fd, "wb") as f:
                f.write(data)
                f.flush()
                os.fsync(f.fileno())
        except OSError as e:  # of a full disk, which names no file
            e.filename = e.filename or str(path)
            raise
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_json(path: Path, value: Any, mode: int = 0o644) -> None:
    """`write_atomic` of `value` as indented JSON; NaN and infinity are refused (they are not JSON)."""
    write_atomic(path, json.dumps(value, indent=2, allow_nan=False) + "\n", mode)


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/pgolf, or ~/.cache/pgolf; a relative path in that variable counts as none."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return Path(base if os.path.isabs(base) else os.path.expanduser("~/.cache")) / "pgolf"


@contextmanager
def replaced_folder(target: Path) -> Iterator[Path]:
    """A new folder to fill, which then appears at `target` whole or not at all; one that is there is replaced."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f".{target.name}.*"):  # of a process that was killed here
        shutil.rmtree(left)
    new = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    new.chmod(0o755)
    try:
        yield new
        if target.exists():
            target.rename(new.with_name(new.name + ".old"))
        new.rename(target)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    shutil.rmtree(new.with_name(new.name + ".old"), ignore_errors=True)


def copy_folder(source: Path, target: Path) -> None:
    """Copy all files of a folder into another one, which may be there. The first error is raised as it is: of
    shutil.copytree nobody could tell that the disk is full."""
    for path in sorted(source.rglob("*")):
        copy = target / path.relative_to(source)
        if path.is_dir():
            copy.mkdir(parents=True, exist_ok=True)
        else:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)


def hash_folder(folder: Path) -> dict[str, str]:
    """SHA-256 by relative path of every file below a folder; hidden files and links are left out."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink() and not p.name.startswith("."))
    return {p.relative_to(folder).as_posix(): sha256_file(p) for p in files}


def stays_inside(name: str) -> bool:
    """Whether a name is a plain relative path of a file: no `..`, no control characters, not too long.

    >>> [stays_inside(name) for name in ("logs/a.txt", "../a", "/etc/passwd", "logs//a", "a\\n")]
    [True, False, False, False, False]
    """
    parts = name.split("/")
    try:
        sizes = [len(part.encode()) for part in parts]
    except UnicodeEncodeError:  # bytes that are no UTF-8, as Python keeps them
        return False
    return (
        not {"", ".", ".."} & set(parts)
        and name.isprintable()
        and max(sizes) <= MAX_PART_BYTES
        and sum(sizes) + len(parts) <= MAX_PATH_BYTES
    )
