"""The standing record that a new one is measured against: the ledger's, or one measured afresh on the text here."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from functools import cache
from pathlib import Path

import numpy as np

from pgolf import ledger
from pgolf.evidence.logs import read_run
from pgolf.ledger import StandingRecord
from pgolf.tracks import Track

log = logging.getLogger(__name__)
SAME_TOKENS = 0.01  # relative difference in bytes per token up to which losses per token compare


def ledger_entry(track: Track, scored_sha256: str) -> StandingRecord | None:
    """The track's standing record; None if it has to be measured afresh: it is on other text, or on no list.

    Raises
    ------
    BadInput : it is on no list, and the track names no preset that measures it.
    """
    afresh = f"its seeds run here first, with preset {track.baseline_preset}"
    if track.baseline_preset and track.standing not in ledger.names() and not Path(track.standing).is_file():
        log.info("the ledger has no %s: %s", track.standing, afresh)
        return None
    standing = ledger.load(track.standing)
    if track.baseline_preset is None or standing.scored_sha256 == scored_sha256:
        return standing
    log.info("the validation text here is not the one that %s was measured on: %s", track.standing, afresh)
    return None


def best_before(track: Track, day: date) -> StandingRecord | None:
    """The ledger's record of the track with the lowest mean among those of earlier days; None if there is none.

    Examples
    --------
    >>> from pgolf import tracks
    >>> best_before(tracks.load("10min_16mb"), date(2026, 4, 10)).name
    '2026-04-09_A2_Muon097_3Seed'
    """
    earlier = [r for on, r in _dated() if r.track.removeprefix("track_") == track.name and on < day]
    return min(earlier, key=lambda r: r.sample().mean, default=None)


@cache
def _dated() -> list[tuple[date, StandingRecord]]:
    """The ledger's records that have a date, with it."""
    found = []
    for name in ledger.names():
        record = ledger.load(name)
        with suppress(ValueError):  # an entry of a user's own may have none
            found.append((date.fromisoformat(record.date), record))
    return found


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
        name=f"{Path(track.standing).stem}-here",  # not the ledger's: other text
        track=track.name,
        title=f"{Path(str(track.baseline_preset)).stem}, measured on this machine",
        date=date,
        author="pgolf",
        source=f"seeds of preset {Path(str(track.baseline_preset)).stem}, run with this record",
    )
