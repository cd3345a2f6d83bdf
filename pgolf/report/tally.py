"""Many audits in a line or a few: how many records there are, how they came out, and the mean of what they reached."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, stdev

from pgolf.audit.checks import Status
from pgolf.report.row import Row
from pgolf.report.speedrun_row import SpeedrunRow

WORDS = {"val_bpb": ("val_bpb", ".5f"), "seconds": ("training seconds", ".3f"), "steps": ("steps", ",.1f")}


@dataclass(frozen=True)
class Reached:
    """What one record reached on its track, and how its audit came out.

    `unit` is 'val_bpb', 'seconds' or 'steps'; `value` is the mean over its seeds or runs, None if unknown.
    """

    track: str
    worst: Status
    unit: str
    value: float | None


def reached(row: Row | SpeedrunRow) -> Reached:
    """What a record reached: of a speedrun its best variant, in what its track asks to be least."""
    worst: Status = "fail" if row.checks("fail") else "warn" if row.checks("warn") else "pass"
    if isinstance(row, Row):
        return Reached(row.track.name, worst, "val_bpb", row.mean)
    return Reached(row.track.name, worst, "steps" if row.target.least == "steps" else "seconds", row.measure)


def tally(records: Iterable[Reached], unreadable: int = 0) -> list[str]:
    """A line for all records of one track; of several, one for each, and one that counts them all.

    Examples
    --------
    >>> tally([Reached("10min_16mb", "pass", "val_bpb", 1.08), Reached("10min_16mb", "fail", "val_bpb", 1.10)])
    ['2 records, 1 fail, 0 warn; mean val_bpb 1.09000, std 0.01414, over the 2 with a score (track 10min_16mb)']
    """
    tracks: dict[str, list[Reached]] = {}
    for record in records:
        tracks.setdefault(record.track, []).append(record)
    everything = [record for found in tracks.values() for record in found]
    if len(tracks) == 1:
        return [f"{_counts(everything, unreadable)}; {_mean(everything)} (track {everything[0].track})"]
    lines = [f"track {name}: {_counts(found)}; {_mean(found)}" for name, found in sorted(tracks.items())]
    return [*lines, _counts(everything, unreadable)]


def _counts(records: list[Reached], unreadable: int = 0) -> str:
    worst = Counter(record.worst for record in records)
    words = f"{len(records)} record{'s' * (len(records) != 1)}, {worst['fail']} fail, {worst['warn']} warn"
    return words + f", {unreadable} could not be read" * bool(unreadable)


def _mean(records: list[Reached]) -> str:
    what, digits = WORDS[records[0].unit]
    values = [r.value for r in records if r.value is not None and math.isfinite(r.value)]
    kind = "score" if records[0].unit == "val_bpb" else "result"
    if not values:
        return f"none with a {kind}"
    spread = f", std {stdev(values):{digits}}" if len(values) > 1 else ""
    return f"mean {what} {fmean(values):{digits}}{spread}, over the {len(values)} with a {kind}"
