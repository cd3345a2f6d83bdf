"""The data that a speedrun's programs read: a folder of the user's, which pgolf neither makes nor changes."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pgolf.errors import BadInput
from pgolf.files import sha256_file
from pgolf.program import Program
from pgolf.program.data import data_below
from pgolf.record.runs_request import RunsRequest

MOST_FILES = 10_000  # of a data folder


@dataclass(frozen=True)
class RunsData:
    """The data that the programs read: regular files below `root`, by their paths relative to it, and their bytes."""

    root: Path
    sizes: Mapping[str, int]

    def hashes(self) -> dict[str, str]:
        """SHA-256 of each file."""
        return {name: sha256_file(self.root / name) for name in self.sizes}


def reads_below(program: Program) -> frozenset[str] | None:
    """The names below `data/` that a program's sources name (none: any), None: it needs no such folder."""
    texts = [content.decode(errors="replace") for name, content in program.files.items() if name.endswith(".py")]
    return data_below(texts)


def find_data(request: RunsRequest, data_dir: Path) -> RunsData | None:
    """The data of both programs below `data_dir`; None where neither takes any from there.

    Raises
    ------
    BadInput : a folder that a program names is missing or has no file.
    """
    wanted = [below for one in request.programs.values() if (below := reads_below(one)) is not None]
    if any(one.data for one in request.programs.values()):
        wanted.append(frozenset())
    if not wanted:
        return None
    names = sorted(frozenset().union(*wanted)) if all(wanted) else [""]
    sizes: dict[str, int] = {}
    for name in names:
        place = data_dir / name
        found = dict(_files(data_dir.resolve(), name))
        if not found:
            by = next(v for v, one in request.programs.items() if name in (reads_below(one) or ("",)) or one.data)
            raise BadInput(
                f"{place}: the program of {by} reads its data there, and there is no file; fetch the data, or name the "
                "folder that holds it with --data-dir"
            )
        sizes |= found
    return RunsData(data_dir.resolve(), sizes)


def _files(root: Path, name: str) -> Iterator[tuple[str, int]]:
    """(path relative to `root`, bytes) of a file, or of the regular files of a folder; hidden ones are left out."""
    if (root / name).is_file():
        yield name, (root / name).stat().st_size
    seen = 0
    for at, folders, names in os.walk(root / name):
        folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
        for file in sorted(names):
            path = Path(at, file)
            if file.startswith(".") or not path.is_file():
                continue
            seen += 1
            if seen > MOST_FILES:
                raise BadInput(
                    f"{root / name}: over {MOST_FILES:,} files; name a folder with the data alone by --data-dir"
                )
            yield path.relative_to(root).as_posix(), path.stat().st_size
