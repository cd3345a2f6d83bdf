"""The standing record that a new one is measured against: the ledger's, or one measured afresh on the text here."""

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from pgolf import ledger
from pgolf.errors import BadInput
from pgolf.evidence.logs import read_run
from pgolf.ledger import SeedScore, StandingRecord
from pgolf.phrases import counted
from pgolf.stats.sample import SAME_TEXT
from pgolf.tracks import Limits, Track, load, names

log = logging.getLogger(__name__)
SAME_TOKENS = 0.01  # relative difference in bytes per token up to which losses per token compare


@dataclass(frozen=True)
class Candidate:
    """An entry of the ledger beside the rules of its track: `mean` in bpb, and why they do not admit it, if not."""

    record: StandingRecord
    mean: float
    faults: tuple[str, ...]


def candidates(track: Track, before: date | None = None) -> list[Candidate]:
    """The ledger's entries of a track, best first; those of days before `before` alone, if it is given.

    The rules admit an entry with as many seeds as the track asks for, with sizes and times within its limits and their
    grace, and scored on its validation text. A figure that an entry does not have speaks against nothing.
    """
    records = [r for r in map(ledger.load, ledger.names()) if _is_of(r, track) and _is_before(r, before)]
    found = [Candidate(record, record.sample().mean, tuple(_faults(record, track))) for record in records]
    return sorted(found, key=lambda c: (c.mean, c.record.date))


def standing_record(track: Track, before: date | None = None) -> StandingRecord | None:
    """The record that stands for a track: the one that the track names, else its best one of the ledger that its rules
    admit; None if there is none, or none yet, as the track's baseline measures it. With `before`, the record that stood
    when that day began: one of an earlier day.

    Examples
    --------
    >>> from pgolf import tracks
    >>> standing_record(tracks.load("10min_16mb")).name
    'pr1855'
    >>> standing_record(tracks.load("10min_16mb"), date(2026, 4, 10)).name
    '2026-04-09_A2_Muon097_3Seed'
    """
    if track.standing is None:
        return next((c.record for c in candidates(track, before) if not c.faults), None)
    if track.standing not in ledger.names() and not Path(track.standing).is_file():
        return None
    named = ledger.load(track.standing)
    return named if _is_before(named, before) else None


def check_standing(track: Track) -> None:
    """BadInput if a record of the track would have nothing to beat."""
    if track.baseline_preset or standing_record(track):
        return
    if track.standing:
        ledger.load(track.standing)  # says that there is none, and what comes near
    raise BadInput(
        f"the ledger has no record of track {track.name} that its rules admit: name the record to beat with --against, "
        "or with `standing` in the track's file"
    )


def to_beat(track: Track) -> str:
    """The name of the record that stands for a track; where there is none yet, the name that it will be measured under.
    Raises BadInput as `check_standing` does."""
    check_standing(track)
    standing = standing_record(track)
    return standing.name if standing else _name_here(track)


def statuses() -> dict[str, str]:
    """What each entry of the ledger is to its track: 'stands', 'not admitted: …' or ''; only of pgolf's own tracks."""
    found: dict[str, str] = {}
    for track in (load(name) for name in names()):
        if not track.target:
            beside = {c.record.name: "; ".join(c.faults) for c in candidates(track)}
            found |= {name: f"not admitted: {faults}" if faults else "" for name, faults in beside.items()}
            standing = standing_record(track)
            found |= {standing.name: "stands"} if standing else {}
    return found


def ledger_entry(track: Track, scored_sha256: str) -> StandingRecord | None:
    """The track's standing record; None if it has to be measured afresh: it is on other text, or on no list.

    Raises
    ------
    BadInput : there is none, and the track names no preset that measures it.
    """
    check_standing(track)
    standing = standing_record(track)
    afresh = f"its seeds run here first, with preset {track.baseline_preset}"
    if standing is None:
        log.info("the ledger has no %s: %s", track.standing or f"record of track {track.name}", afresh)
        return None
    if track.baseline_preset is None or standing.scored_sha256 == scored_sha256:
        return standing
    log.info("the validation text here is not the one that %s was measured on: %s", standing.name, afresh)
    return None


def _is_of(record: StandingRecord, track: Track) -> bool:
    return record.track.removeprefix("track_") == track.name


def _is_before(record: StandingRecord, day: date | None) -> bool:
    """Whether a record is of an earlier day. One without a date, as an entry of a user's own may be, is of none."""
    with suppress(ValueError):
        return day is None or date.fromisoformat(record.date) < day
    return False


def count_seeds(record: StandingRecord) -> int:
    """How many seeds an entry has: runs of one seed count once, each run whose seed is unknown as a seed of its own."""
    numbers = [s.seed for s in record.seeds if s.seed is not None]
    return len(record.seeds) - (len(numbers) - len(set(numbers)))


def _faults(record: StandingRecord, track: Track) -> Iterator[str]:
    """Why a track's rules do not admit an entry."""
    sample, seeds = record.sample(), count_seeds(record)
    if seeds < track.policy.min_seeds:
        yield f"{counted(seeds, 'seed')}, fewer than {track.policy.min_seeds}"
    yield from sample.doubts
    yield from _over(record.seeds, track.limits)
    bytes_here, bytes_there = track.val_bytes, record.val_bytes
    if bytes_here and bytes_there and abs(bytes_there / bytes_here - 1) > SAME_TEXT:
        yield f"scored {bytes_there:,} bytes of text, and the track's has {bytes_here:,}"


def _over(seeds: Sequence[SeedScore], limits: Limits) -> Iterator[str]:
    """The limits that a seed misses by more than the grace, each with the largest value."""
    size = max((s.artifact_bytes for s in seeds if s.artifact_bytes is not None), default=0)
    if size > limits.artifact_bytes:
        yield f"code and model of {size:,} bytes, over {limits.artifact_bytes:,}"
    trained = max((s.train_seconds + (s.calibration_seconds or 0) for s in seeds if s.train_seconds), default=0.0)
    evaluated = max((_evaluation(s) for s in seeds), default=0.0)
    for what, seconds, most in (
        ("training and calibration", trained, limits.train_seconds),
        ("evaluation", evaluated, limits.eval_seconds),
    ):
        if seconds > most + limits.grace_seconds:
            yield f"{what} of {seconds:.3f} s, over {most:g} s"


def _evaluation(seed: SeedScore) -> float:
    """Seconds of the passes that count: without those that the log calls diagnostic, as an audit has them."""
    told = math.fsum(s.eval_seconds or 0 for s in seed.stages if s.kind != "pre-quant" and "diagnostic" in s.stage)
    return max((seed.eval_seconds or 0.0) - told, 0.0)


def losses_at(standing: StandingRecord, at: float, seconds: bool = False) -> list[float] | None:
    """The training loss of each of its seeds at a step, or at a second of training, between the logged ones; None where
    a seed's curve does not reach that far, or is not known."""
    found = []
    for seed in standing.seeds:
        where = list(seed.curve_seconds) if seconds else [step for step, _ in seed.curve]
        if not where or not where[0] <= at <= where[-1]:
            return None
        found.append(float(np.interp(at, where, [loss for _, loss in seed.curve])))
    return found or None


def measured_here(track: Track, folders: Sequence[Path], date: str) -> StandingRecord:
    """The standing record from the finished baseline runs in `folders`, one a seed."""
    return ledger.from_runs(
        [read_run(folder / "train.log") for folder in folders],
        name=_name_here(track),
        track=track.name,
        title=f"{Path(str(track.baseline_preset)).stem}, measured on this machine",
        date=date,
        author="pgolf",
        source=f"seeds of preset {Path(str(track.baseline_preset)).stem}, run with this record",
    )


def _name_here(track: Track) -> str:
    """Not the ledger's name: it is of other text."""
    return f"{Path(track.standing or str(track.baseline_preset)).stem}-here"
