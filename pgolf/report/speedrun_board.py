"""The speedruns of an archive: a table a track, and the frontier of its measure over time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from markupsafe import Markup
from rich.text import Text

from pgolf.evidence.lines import printable
from pgolf.evidence.record_folder import names_apart
from pgolf.report import figures
from pgolf.report.audit_tables import MESSAGE_LEAST, archive_table, lights
from pgolf.report.columns import Columns
from pgolf.report.frontier import Axis, Dated, Kind, charts, draw, leaders
from pgolf.report.row import Row
from pgolf.report.speedrun_row import SpeedrunRow
from pgolf.tracks import Target, Track

if TYPE_CHECKING:
    from matplotlib.figure import Figure
FAILS = Kind("a check fails: never the best", figures.SEEDS[4], "X")
DOUBTFUL = Kind("too few runs, or target not shown: never the best", figures.STANDING, "o", hollow=True)


@dataclass(frozen=True)
class SpeedrunBoard:
    """The records of one track, the least time or the fewest steps first; those without any last."""

    track: Track
    target: Target
    rows: Sequence[SpeedrunRow]

    @property
    def measure(self) -> str:
        """What the track asks to be least, as a column's name."""
        return "steps" if self.target.least == "steps" else "mean training, s"

    def chart(self) -> Markup | None:
        """The frontier over time; None where fewer than two records have a day and a measure."""
        label = f"{self.measure} of track {self.track.name} by day, and the least so far"
        return charts(_dated(self.rows, self.target), self.leaders, _axis(self.target), label)

    @cached_property
    def leaders(self) -> list[SpeedrunRow]:
        """The records that made the frontier."""
        return leaders(self.rows)


def boards(rows: Iterable[SpeedrunRow]) -> list[SpeedrunBoard]:
    """One a track, the one with most records first."""
    found: dict[str, list[SpeedrunRow]] = {}
    for row in rows:
        found.setdefault(row.track.name, []).append(row)
    made = [SpeedrunBoard(rs[0].track, rs[0].target, sorted(rs, key=_order)) for rs in found.values()]
    return sorted(made, key=lambda b: (-len(b.rows), b.track.name))


def _order(row: SpeedrunRow) -> tuple[float, str]:
    return math.inf if row.measure is None else row.measure, row.name


def frontier(records: Sequence[SpeedrunRow], target: Target, narrow: bool = False) -> Figure:
    """Times or steps by day, with 95 % intervals of the times, and the least of each day's past as a line.

    The line is of the records that reach the target and fail no check.
    """
    return draw(_dated(records, target), leaders(records), _axis(target), narrow)


def _dated(records: Sequence[SpeedrunRow], target: Target) -> list[Dated]:
    counts = Kind(f"reaches {target.loss:g} at p < {target.alpha:g}, and fails no check", figures.SEEDS[0], "o")
    axis, unit = _axis(target), "steps" if target.least == "steps" else "s"
    points = []
    for r in records:
        if r.day and r.measure is not None and math.isfinite(r.measure):
            tip = f"{r.day} · {axis.number(r.measure)} {unit} · {r.name}{r.doubt and f' · {r.doubt}'}"
            kind = counts if not r.doubt else FAILS if r.checks("fail") else DOUBTFUL
            points.append(Dated(r.day, float(r.measure), r.half_interval, kind, tip))
    return points


def _axis(target: Target) -> Axis:
    if target.least == "steps":
        return Axis("steps (fewer is better)", "{:,.0f}".format, log=True)
    return Axis("training seconds (less is better)", "{:.3f}".format, log=True)


def archive_tables(rows: Sequence[Row | SpeedrunRow]) -> list[Columns]:
    """A table of the records with a score, and one a track of the speedruns."""
    rows = told_apart(rows)
    scored = [r for r in rows if isinstance(r, Row)]
    speedruns = map(speedrun_table, boards(r for r in rows if isinstance(r, SpeedrunRow)))
    return [*([archive_table(scored)] if scored else []), *speedruns]


def told_apart(rows: Sequence[Row | SpeedrunRow]) -> list[Row | SpeedrunRow]:
    """The rows; the name of each that has another's name says where it lies, too."""
    return [replace(row, name=name) for row, name in zip(rows, names_apart(r.folder for r in rows), strict=True)]


def speedrun_table(board: SpeedrunBoard) -> Columns:
    """One row a record: its time or steps, its loss against the target, and the checks that are not green."""
    timed = board.target.least == "train_seconds"
    rows: list[tuple[str | Text, ...]] = []
    for row in board.rows:
        loss, p = row.loss, row.loss.p if row.loss else None
        seconds = "no time" if row.seconds is None else f"{row.seconds:.3f}"
        rows.append(
            (
                *([seconds] if timed else []),
                "" if row.steps is None else str(row.steps),
                str(row.runs),
                f"{loss.mean:.5f}" if loss else "",
                "" if p is None else f"{p:.2g}",
                printable(f"{row.name}/{row.variant}" if row.variant else row.name),
                lights(row),
            )
        )
    headings = (*(["mean training, s"] if timed else []), "steps", "n", "mean loss", "p", "record", "checks")
    title = f"{board.track.name}: target {board.target.loss:g}"
    return Columns(rows, headings, range(len(headings) - 2), least=MESSAGE_LEAST, title=title)
