"""Whether a folder is a record's own. One that pgolf works in, or that records lie in, holds logs of more than one."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from pgolf.errors import BadInput
from pgolf.evidence.lines import printable
from pgolf.phrases import not_a_folder
from pgolf.untrusted import Untrusted, list_folder

CLAIMS = "submission*.json"
OF_WORK = {"plan.json", "manifest.json"}  # in a folder that a record, a sweep or an ablation is made in
DEEPEST, MOST_LOOKED_AT, SHOWN = 4, 20_000, 5  # folders below, files and folders looked at, folders in a message

Kind = Literal["record", "work"]


def check_record_folder(path: Path) -> None:
    """Refuse a folder that is no record's own, so that logs of several runs or records are not read as those of one.

    Raises
    ------
    BadInput : no folder; one that pgolf works in, such as runs/ID; or one that records lie in, such as runs. The
        message names the records' folders in it.
    """
    if not path.is_dir():
        raise BadInput(f"{not_a_folder(path)}: name a record folder, with its submission.json and its logs")
    check_no_work_folder(path)
    kinds = dict(_kinds(path))
    if kinds and kinds.get(path) != "record":
        if todo := _named(kinds):
            raise BadInput(f"{path}: no record's folder, but one that others lie in; {todo}")
        work = printable(str(next(iter(kinds))))
        raise BadInput(f"{path}: no record's folder, and none is in it; pgolf works in it, as in {work}")


def check_no_work_folder(path: Path) -> None:
    """Refuse a folder that pgolf works in, such as runs/ID, with the BadInput of `check_record_folder`."""
    if next(_kinds(path), None) == (path, "work"):
        todo = _named(dict(_kinds(path))) or "no record's folder is in it"
        raise BadInput(f"{path}: no record's folder, but one that pgolf works in, with logs of all that ran; {todo}")


def names_apart(folders: Iterable[Path]) -> list[str]:
    """The name of each folder; of several that have one name, with the part of the path that they differ in.

    >>> names_apart([Path("runs/a/records/2026_X"), Path("runs/b/records/2026_X"), Path("2026_Y")])
    ['2026_X (a)', '2026_X (b)', '2026_Y']
    """
    paths = [folder.resolve() for folder in folders]
    said = {path: path.name for path in paths}
    for name in {path.name for path in paths}:
        alike = {path.parent for path in said if path.name == name}
        if len(alike) > 1:
            shared = os.path.commonpath(alike)
            below = {parent: parent.relative_to(shared).parts for parent in alike}
            short = len({parts[:1] for parts in below.values()}) == len(alike)
            for parent, parts in below.items():
                said[parent / name] = f"{name} ({'/'.join(parts[:1] if short else parts) or parent.name})"
    return [said[path] for path in paths]


def _named(kinds: Mapping[Path, Kind]) -> str:
    """What to give instead; '' where there is nothing."""
    records = [printable(str(folder)) for folder, kind in kinds.items() if kind == "record"]
    more = f" and {len(records) - SHOWN} more" if len(records) > SHOWN else ""
    each = "the record's: " if len(records) == 1 else "one record's: "
    return f"give {each}{', '.join(records[:SHOWN])}{more}" if records else ""


def _kinds(path: Path) -> Iterator[tuple[Path, Kind]]:
    """The folders, from `path` to DEEPEST below, that are a record's or that pgolf works in. In a record's folder
    nothing else is looked for."""
    left, folders = MOST_LOOKED_AT, [path]
    for depth in range(DEEPEST + 1):
        below: list[Path] = []
        for folder in folders:
            with suppress(Untrusted):  # one that may not be read has no logs for us
                inside = list_folder(folder, left)
                left -= len(inside)
                names = {entry.name for entry in inside}
                if any(fnmatchcase(name, CLAIMS) for name in names):
                    yield folder, "record"
                    continue
                if names >= OF_WORK:
                    yield folder, "work"
                below += [folder / e.name for e in inside if depth < DEEPEST and e.is_dir(follow_symlinks=False)]
        folders = below
