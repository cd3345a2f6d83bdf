"""An archive → the record folders in it: those with a submission.json, and those of speedruns."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from itertools import islice
from pathlib import Path

from pgolf import tracks
from pgolf.audit.belonging import NEAREST, SHORT_DAY
from pgolf.errors import BadInput
from pgolf.evidence.folder import may_be_log
from pgolf.evidence.variants import is_baseline
from pgolf.phrases import not_a_folder
from pgolf.untrusted import Untrusted, list_folder

MOST_LOOKED_AT = 1_000_000  # files and folders of an archive
DEEPEST = 4  # levels of folders below an archive that are searched for records
DEEPEST_LOGS = 2  # levels of folders below a speedrun's, in which its logs may be
Entries = Sequence["os.DirEntry[str]"]


def record_folders(archive: Path) -> list[Path]:
    """The record folders below an archive's folder, or the folder itself if it is one.

    A folder with a submission.json is one. So is, in the folder of a track with a target loss (`track_1_short/`), a
    folder that a day begins the name of, with logs in it or in its variants' folders; and one without a day that has
    logs itself, or a baseline's folder, and no dated folder. Nothing below a speedrun's folder is another record.

    Raises
    ------
    BadInput : there is no such folder, or no record in it.
    """
    if not archive.is_dir():
        raise BadInput(f"{not_a_folder(archive)}: name a folder with records in it")
    folders = sorted(_Search(archive).records())
    if not folders:
        wanted = "a submission.json, or lies with logs in a speedrun track's folder, as track_1_short/2026-07-17_Name"
        raise BadInput(f"{archive}: no folder in it has {wanted}")
    return folders


@dataclass
class _Search:
    """A search through an archive. Links are not followed: their records lie elsewhere."""

    archive: Path
    left: int = MOST_LOOKED_AT

    def records(self) -> Iterator[Path]:
        path = self.archive.resolve().parts[-NEAREST:]
        folders = [(self.archive, _levels_below_track(path))]
        for depth in range(DEEPEST + 1):
            below: list[tuple[Path, int | None]] = []
            for folder, levels in folders:
                inside = self._inside(folder)
                if any(fnmatchcase(e.name, "submission*.json") for e in inside):
                    yield folder
                elif levels is not None and self._is_speedrun(folder, inside, levels):
                    yield folder
                    continue
                inner = [e.name for e in inside if depth < DEEPEST and e.is_dir(follow_symlinks=False)]
                below += [(folder / name, _one_below(levels, name)) for name in inner]
            folders = below

    def _inside(self, folder: Path) -> list["os.DirEntry[str]"]:
        inside: list[os.DirEntry[str]] = []
        with suppress(Untrusted):  # one that may not be read has no record for us
            inside = list_folder(folder, self.left)
        self.left -= len(inside)
        return inside

    def _is_speedrun(self, folder: Path, inside: Entries, levels: int) -> bool:
        """Whether a folder so many levels below its track's is a speedrun's."""
        if levels == 0:  # the track's own folder
            return False
        if SHORT_DAY.match(folder.resolve().name):
            return self._has_log(inside, DEEPEST_LOGS)
        names = [e.name for e in inside if e.is_dir(follow_symlinks=False)]
        if any(map(SHORT_DAY.match, names)):  # a folder of records, as results/
            return False
        beside = any(is_baseline(name, [n for n in names if n != name]) for name in islice(names, 100))
        return any(map(may_be_log, inside)) or (beside and self._has_log(inside, DEEPEST_LOGS))

    def _has_log(self, inside: Entries, levels: int) -> bool:
        if any(map(may_be_log, inside)):
            return True
        folders = [Path(e.path) for e in inside if levels and e.is_dir(follow_symlinks=False)]
        return any(self._has_log(self._inside(folder), levels - 1) for folder in folders)


def _levels_below_track(parts: Sequence[str]) -> int | None:
    """How many levels the last of these folders lies below that of a track with a target loss; None: it does not."""
    return next((levels for levels, name in enumerate(reversed(parts)) if _aims(name)), None)


def _one_below(levels: int | None, name: str) -> int | None:
    """The same for a folder in one that lies so many levels below; an audit knows the track as far down as NEAREST."""
    if _aims(name):
        return 0
    return levels + 1 if levels is not None and levels + 1 < NEAREST else None


@cache
def _targets() -> frozenset[str]:
    return frozenset(name for name in tracks.names() if tracks.load(name).target)


def _aims(name: str) -> bool:
    """Whether a folder's name is that of a track with a target loss."""
    return tracks.recognised(name) in _targets()
