"""How runs went in earlier records of the same kind: what the time left of the first seeds is told from."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from pgolf.errors import BadInput
from pgolf.evidence.events import EVENTS
from pgolf.evidence.manifest import read_versions
from pgolf.evidence.plan import read_plans
from pgolf.evidence.probes import PROBES, read_probes
from pgolf.pods.local import LocalPod
from pgolf.presets import config_of
from pgolf.record.progress import Progress
from pgolf.record.results import LOG
from pgolf.record.seeds import attempt_folders
from pgolf.record.time_left import Course, course_of, mean_course
from pgolf.stages import chosen
from pgolf.trainer.config import Knob
from pgolf.untrusted import Untrusted, list_folder, read_text

LOOKED_AT, MOST_RECORDS = 20, 10_000  # records that are read, and folders that are listed
MOST_BYTES = 1 << 24  # of a log or of events


def earlier_course(record: Path, knobs: Mapping[str, Knob] | None = None) -> Course | None:
    """How a seed goes, as the newest record beside the folder `record` tells of it that has the same track and preset
    and was made in the same place: on this machine, or elsewhere. None if there is none.

    With `knobs`, of pgolf's own trainer, a record of the same knobs comes first; stages that these turn off are left
    out, and a record without a stage that they turn on tells of nothing.
    """
    runs = chosen(asdict(config_of(knobs))) if knobs else {}
    for folder in _alike(record):
        try:
            course = mean_course(_courses(folder))
        except (BadInput, OSError):
            continue
        if course and {name for name, runs_now in runs.items() if runs_now} <= {stage.name for stage in course.stages}:
            return Course(tuple(stage for stage in course.stages if runs.get(stage.name, True)))
    return None


def earlier_probes(record: Path) -> float | None:
    """Seconds that the probes of the first artifact took, as the newest such record tells."""
    for folder in _alike(record):
        with suppress(BadInput, OSError):
            if (seconds := read_probes(folder / PROBES).seconds) is not None:
                return seconds
    return None


def _alike(record: Path) -> Iterator[Path]:
    """The records of the same kind beside a record's, those of the same knobs first, then the newest."""
    kind, knobs = _kind(record), _knobs(record)
    if kind:
        found = [folder for folder in _newest(record)[:LOOKED_AT] if _kind(folder) == kind]
        yield from sorted(found, key=lambda folder: _knobs(folder) != knobs)


def _knobs(record: Path) -> str | None:
    """The hash of its knobs."""
    with suppress(BadInput):
        plans = read_plans(record)
        return plans[-1].inputs.get("knobs") if plans else None
    return None


def _kind(record: Path) -> tuple[str, str, bool] | None:
    """Its track, its preset, and whether its seeds ran on this machine; None for a folder that is no record's."""
    try:
        plans = read_plans(record)
        return (plans[0].track, plans[0].preset, bool(read_versions(record, "here"))) if plans else None
    except BadInput:
        return None


def _newest(record: Path) -> list[Path]:
    """The folders beside a record's, those that were worked in last first."""
    found: list[tuple[float, Path]] = []
    with suppress(Untrusted):
        for entry in list_folder(record.parent, MOST_RECORDS):
            with suppress(OSError):
                if entry.name != record.name and entry.is_dir(follow_symlinks=False):
                    found.append((os.stat(entry.path).st_mtime, Path(entry.path)))
    return [path for _, path in sorted(found, reverse=True)]


def _courses(record: Path) -> list[Course]:
    """Of the seeds whose last attempt has ended well."""
    found = []
    for seed in read_plans(record)[-1].seeds:
        folders = attempt_folders(record / "seeds" / str(seed))
        status = LocalPod(folders[-1]).status() if folders else None
        if not status or status.state != "ended" or status.exit_code or not (status.started and status.ended):
            continue
        progress = Progress()
        progress.elapsed = status.ended - status.started
        for name, feed in ((EVENTS, progress.feed), (LOG, progress.feed_log)):
            if os.path.lexists(folders[-1] / name):
                feed(read_text(folders[-1] / name, MOST_BYTES, record, errors="replace"))
        progress.finish(succeeded=True)
        if course := course_of(progress):
            found.append(course)
    return found
