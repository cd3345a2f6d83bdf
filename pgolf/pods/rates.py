"""How fast datasets have come to machines so far, from the files of their slots: nothing here is made up."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pgolf.pods.staging import Way
from pgolf.untrusted import Untrusted, read_json

SLOTS_MOST, SLOT_BYTES, LATEST = 1000, 1 << 20, 20
LEAST_BYTES = 10_000_000  # less comes in the time in which a process starts, and says nothing of a line


@dataclass(frozen=True)
class Rate:
    """Bytes a second over the latest stagings of one way, and how many these were."""

    bytes_per_second: float
    stagings: int


def measured(runs_dir: Path) -> dict[Way, Rate]:
    """The rate of each way that has been measured, from all records and volumes in `runs_dir`."""
    files = sorted(runs_dir.glob("*/pods/*.json"), key=_changed, reverse=True)[:SLOTS_MOST]
    found: dict[Way, list[tuple[float, float]]] = {}
    for path in files:
        for way, size, seconds in _stagings(path):
            if len(found.setdefault(way, [])) < LATEST:
                found[way].append((size, seconds))
    return {
        way: Rate(sum(size for size, _ in rows) / sum(seconds for _, seconds in rows), len(rows))
        for way, rows in found.items()
    }


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _stagings(path: Path) -> list[tuple[Way, float, float]]:
    """(way, bytes, seconds) of a slot's file; what has another form is left out."""
    try:
        slot = read_json(path, SLOT_BYTES)
    except Untrusted:
        return []
    staged = slot.get("staged") if isinstance(slot, dict) else None
    rows = []
    for one in staged if isinstance(staged, list) else []:
        if isinstance(one, dict) and one.get("way") in get_args(Way):
            size, seconds = _number(one.get("bytes")), _number(one.get("seconds"))
            if size >= LEAST_BYTES and seconds > 0:
                rows.append((one["way"], size, seconds))
    return rows


def _number(value: Any) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else 0.0
