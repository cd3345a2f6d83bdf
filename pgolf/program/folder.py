"""A stranger's folder, read within bounds: no file or folder too large, none outside it, none that is no plain file.

What is read is kept, so that what is checked and hashed is what runs.
"""

import fnmatch
import itertools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from pgolf.errors import BadInput
from pgolf.program.settings import NAME, path_problem
from pgolf.untrusted import Untrusted, read_bytes

MOST_FILE_BYTES, MOST_BYTES, MOST_FILES = 64 << 20, 256 << 20, 1000
MOST_ENTRIES, DEEPEST = 20_000, 12  # looked at in a folder
# pgolf's own files, in the folder that a program runs in
OF_PGOLF = "train.log events.jsonl supervisor.err pod.json exit.json place.json result.json ended_early.json"
IN_AN_ATTEMPT = frozenset(OF_PGOLF.split())
LOG_OF_A_RUN = re.compile(r"(logs/)?seed\d+\.txt")  # as LOGS of pgolf.program have it
CODE = frozenset([".py", ".pyx", ".sh", ".cu", ".cuh", ".c", ".cc", ".cpp", ".cxx", ".h", ".hpp", ".so"])
# What is no part of a program: what runs left, what is said of them, what is made anew
RESULTS = frozenset([".log", ".out", ".err", ".pt", ".pth", ".ptz", ".npz", ".ckpt", ".safetensors", ".pyc"])
PAGES = frozenset([".md", ".rst", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".pdf", ".ipynb"])
FOLDERS = frozenset(["__pycache__", "runs", "records", "data", "logs", "wandb", "venv", "node_modules"])
OF_A_RECORD = re.compile(
    r"submission\.json|plan.*\.json|manifest\.json|dataset\.json|report\.html|readme(\.\w+)?|licen[cs]e(\.\w+)?"
    r"|probes\.jsonl|(train_seed\d+\.)?events(_seed\d+)?\.jsonl"
    rf"|{re.escape(NAME)}|.*seeds?[_=-]?\d+.*\.txt",
    re.I,
)


def is_left_out(name: str) -> bool:
    """Whether a file or folder of this name (the last part of its path) is left out unless program.toml names it.

    Examples
    --------
    >>> [name for name in ("lossless_caps.py", "train.log", "final_model.int6.ptz") if is_left_out(name)]
    ['train.log', 'final_model.int6.ptz']
    """
    suffix = os.path.splitext(name)[1].lower()
    return name.startswith(".") or name in FOLDERS or suffix in RESULTS | PAGES or bool(OF_A_RECORD.fullmatch(name))


def is_text(path: str) -> bool:
    """Whether a path is a text's: a log by its name, unless it lists requirements."""
    return path.lower().endswith(".txt") and not path.rpartition("/")[2].startswith("requirements")


def is_hidden(path: str) -> bool:
    """Whether a path's last part is hidden, or Python's cache."""
    return path.rpartition("/")[2].startswith((".", "__pycache__"))


class Folder:
    """The files that a program gets from one folder, and what they weigh so far. Every error is BadInput."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.files: dict[str, bytes] = {}
        self._bytes = 0

    def has(self, name: str) -> bool:
        """Whether there is something of this name that could be taken, or a link."""
        path = self.root / name
        return path_problem(name) is None and (path.is_symlink() or path.is_file())

    def take(self, name: str) -> bytes:
        """Read a file and keep it."""
        if name in self.files:
            return self.files[name]
        if problem := path_problem(name):
            raise BadInput(f"{self.root}: the name {name!r} {problem}: it cannot go where the program runs; rename it")
        if name in IN_AN_ATTEMPT or LOG_OF_A_RUN.fullmatch(name):
            raise BadInput(
                f"{self.root / name}: pgolf writes a file of this name where the program runs; rename yours, or name "
                f"the program's files by `files` in {NAME}"
            )
        content = self.read(name)
        self._bytes += len(content)
        if self._bytes > MOST_BYTES or len(self.files) >= MOST_FILES:
            raise self._too_much(f"over {MOST_FILES:,} files or {MOST_BYTES >> 20} MiB")
        self.files[name] = content
        return content

    def read(self, name: str) -> bytes:
        """Read a file without keeping it."""
        try:
            return read_bytes(self.root / name, MOST_FILE_BYTES, self.root)
        except Untrusted as e:
            raise BadInput(f"{e}; or name the program's files by `files` in {NAME} if it does not need this") from None

    def take_all(self, left_out: Callable[[str], bool]) -> None:
        """Take every file but those left out; `left_out` is given the path of each file and each folder."""
        for name in self._walk("", left_out):
            self.take(name)

    def take_matching(self, patterns: tuple[str, ...]) -> None:
        """Take the files that `files` of program.toml names, each entry at least one; `*` matches '/', too."""
        names = list(self._walk("", is_hidden))
        for pattern in patterns:
            matching = fnmatch.filter(names, pattern) + fnmatch.filter(names, f"{pattern}/*")
            if not matching:
                raise BadInput(f"{self.root / NAME}: files: no file matches {pattern!r}")
            for name in matching:
                self.take(name)

    def top(self) -> list[str]:
        """Names of the plain files at the top, in order; links are not among them."""
        return [e.name for e in self._entries("") if e.is_file(follow_symlinks=False) and not path_problem(e.name)]

    def peek(self) -> dict[str, bytes]:
        """The plain files at the top that a script there may need, as many as the bounds allow; none is taken."""
        found: dict[str, bytes] = {}
        left = MOST_BYTES
        for name in self.top():
            size = (self.root / name).stat().st_size
            if not is_left_out(name) and size <= min(left, MOST_FILE_BYTES) and len(found) < MOST_FILES:
                found[name] = self.read(name)
                left -= size
        return found

    def sources_in(self, folder: str) -> list[str]:
        """Paths of the Python files in a folder and below it, if it is one and no link."""
        path = self.root / folder
        if path_problem(folder) or path.is_symlink() or not path.is_dir():
            return []
        return [name for name in self._walk(folder, is_hidden) if name.endswith(".py")]

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.root / folder) as found:
                entries = list(itertools.islice(found, MOST_ENTRIES + 1))
        except OSError as e:
            raise BadInput(f"{self.root / folder}: cannot be read: {e.strerror}") from None
        if len(entries) > MOST_ENTRIES:
            raise self._too_much(f"over {MOST_ENTRIES:,} files")
        return sorted(entries, key=lambda e: e.name)

    def _walk(self, below: str, left_out: Callable[[str], bool]) -> Iterator[str]:
        """Paths of all that is no folder, in order; links to folders are not followed but named."""
        seen, waiting = 0, [below]
        while waiting:
            here = waiting.pop()
            entries = self._entries(here)
            seen += len(entries)
            if seen > MOST_ENTRIES or here.count("/") >= DEEPEST:
                raise self._too_much(f"over {MOST_ENTRIES:,} files, or over {DEEPEST} folders inside one another")
            folders = []
            for entry in entries:
                name = f"{here}/{entry.name}" if here else entry.name
                if left_out(name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                else:
                    yield name
            waiting += reversed(folders)

    def _too_much(self, what: str) -> BadInput:
        return BadInput(
            f"{self.root}: {what}; give the script itself, or name the program's files by `files` in {NAME}"
        )
