"""What is tried of one reader, and the files of an input on disk."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from pgolf.errors import BadInput, RunFailed


@dataclass(frozen=True)
class Link:
    """A symbolic link to `target`."""

    target: str


@dataclass(frozen=True)
class Fifo:
    """A pipe that nobody writes to."""


@dataclass(frozen=True)
class Sparse:
    """A file of so many bytes that takes no room."""

    size: int


@dataclass(frozen=True)
class Folder:
    """An empty folder."""


Files = Mapping[str, bytes | Link | Fifo | Sparse | Folder]  # by path in the input's folder


@dataclass(frozen=True)
class Reader:
    """A reader of a stranger's files.

    Attributes
    ----------
    name : in the table.
    seeds : right inputs, each read without an error.
    make : a damaged input.
    call : the function that a command calls, on the input's folder.
    right : errors that the function documents.
    share : of all inputs; cheap readers have more.
    most_seconds, most_mib : processor time and memory that an input may take, above what the process has anyway.
    """

    name: str
    seeds: tuple[Files, ...]
    make: Callable[[Random], Files]
    call: Callable[[Path], object]
    right: tuple[type[BaseException], ...] = (BadInput, RunFailed)
    share: int = 1
    most_seconds: float = 5.0
    most_mib: float = 256.0


class Box:
    """The folder of an input: only what differs from the input before is written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.there: dict[str, bytes | Link | Fifo | Sparse | Folder] = {}
        folder.mkdir(parents=True)

    def fill(self, files: Files) -> None:
        """Make the folder hold exactly these files."""
        plain = all(isinstance(held, bytes) for held in (*self.there.values(), *files.values()))
        if not plain or any((self.folder / name).is_dir() for name in files):  # a folder of an input before
            shutil.rmtree(self.folder)
            self.folder.mkdir()
            self.there = {}
        for name in [name for name, held in self.there.items() if files.get(name) != held]:
            (self.folder / name).unlink()
            del self.there[name]
        for name, content in files.items():
            if name not in self.there:
                self._write(self.folder / name, content)
                self.there[name] = content

    def _write(self, path: Path, content: bytes | Link | Fifo | Sparse | Folder) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        match content:
            case bytes():
                path.write_bytes(content)
            case Link(target):
                path.symlink_to(target)
            case Fifo():
                os.mkfifo(path)
            case Sparse(size):
                with path.open("wb") as f:
                    f.truncate(size)
            case Folder():
                path.mkdir(exist_ok=True)
