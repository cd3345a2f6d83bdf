"""The speedruns of an archive: a table a track, and the frontier of its measure over time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate
from typing import TYPE_CHECKING

from markupsafe import Markup
from rich.text import Text

from pgolf.evidence.lines import printable
from pgolf.report import figures
from pgolf.report.audit_tables import MESSAGE_LEAST, archive_table, lights
from pgolf.report.columns import Columns
from pgolf.report.row import Row
from pgolf.report.speedrun_row import SpeedrunRow
from pgolf.tracks import Target, Track

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE = 4.0  # the greatest value over the least, from which the axis is logarithmic
NICE = (1, 1.5, 2, 3, 4, 5, 6, 8)  # ticks of a decade


@dataclass(frozen=True)
class SpeedrunBoard:
    """The records of one track, the least time or the fewest steps first; those without any last."""

    track: Track
    target: Target
    rows: Sequence[SpeedrunRow]

    @property
    def measure(self) -> str:
        """What the track asks to be least, as a column's name."""
        return "steps" if self.target.least == "steps" else "mean s"

    def chart(self) -> Markup | None:
        """The frontier over time; None where fewer than two records have a day and a measure."""
        dated = [r for r in self.rows if r.day and r.measure is not None]
        label = (
            f"{self.measure} of track {self.track.name} by day, and the least so far; the table below has the figures"
        )
        return figures.as_svg(frontier(dated, self.target), label) if len(dated) > 1 else None


def boards(rows: Iterable[SpeedrunRow]) -> list[SpeedrunBoard]:
    """One a track, the one with most records first."""
    found: dict[str, list[SpeedrunRow]] = {}
    for row in rows:
        found.setdefault(row.track.name, []).append(row)
    made = [SpeedrunBoard(rs[0].track, rs[0].target, sorted(rs, key=_order)) for rs in found.values()]
    return sorted(made, key=lambda b: (-len(b.rows), b.track.name))


def _order(row: SpeedrunRow) -> tuple[float, str]:
    return math.inf if row.measure is None else row.measure, row.name


def frontier(records: Sequence[SpeedrunRow], target: Target) -> Figure:
    """Times or steps by day, with 95 % intervals of the times, and the least of each day's past as a line.

    The line is of the records that reach the target and fail no check; the others are hollow, and no part of it.
    """
    steps = target.least == "steps"
    figure, axes = figures.blank("steps (fewer is better)" if steps else "training seconds (less is better)", 8.4, 3.8)
    records = sorted((r for r in records if r.day), key=lambda r: (r.day or date.min, -(r.measure or 0)))
    days = [r.day.toordinal() for r in records if r.day]
    points = [(float(day), float(r.measure or 0), r) for day, r in zip(days, records, strict=True)]
    counted = [p for p in points if not p[2].doubt]
    _scale(axes, [y for _, y, _ in points])
    if counted:
        best = list(accumulate((y for _, y, _ in counted), min))
        end = max(days[-1], days[0] + 1)
        xs, ys = [*(x for x, _, _ in counted), end], [*best, best[-1]]
        axes.step(xs, ys, where="post", color=figures.SEEDS[0], lw=1.6, label="best so far")
    for x, y, r in points:
        if r.half_interval:
            axes.vlines(x, y - r.half_interval, y + r.half_interval, color=figures.QUIET, lw=1)
    unit = "steps" if steps else "s"
    for group, color, label in (
        (counted, figures.SEEDS[0], f"reaches {target.loss:g} at p < {target.alpha:g}, and fails no check"),
        ([p for p in points if p[2].doubt], figures.STANDING, "too few runs, target not shown, or a check fails"),
    ):
        tips = [f"{r.day} · {_number(y, steps)} {unit} · {r.name}{r.doubt and f' · {r.doubt}'}" for _, y, r in group]
        dots = figures.dotted(axes, [(x, y) for x, y, _ in group], color, tips, 34)
        if dots:
            dots.set_label(label)
            if group is not counted:  # hollow, so that they are told apart without colours
                dots.set(facecolor=figures.PAPER, edgecolor=color, linewidth=1.3)
    _dates(axes, days)
    axes.legend(frameon=False, labelcolor=figures.INK, fontsize=8.5)
    return figure


def _scale(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic axis where the values differ by much, with ticks that are numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if min(values) > 0 and max(values) / min(values) > WIDE:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=NICE))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.minorticks_off()
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}" if y >= 10 else f"{y:g}"))


def _dates(axes: Axes, days: Sequence[int]) -> None:
    ticks = range(days[0], days[-1] + 1, max(1, math.ceil((days[-1] - days[0]) / 7)))
    axes.set_xticks(ticks, [date.fromordinal(t).isoformat() for t in ticks])


def _number(y: float, steps: bool) -> str:
    return f"{y:,.0f}" if steps else f"{y:.3f}"


def archive_tables(rows: Sequence[Row | SpeedrunRow]) -> list[Columns]:
    """A table of the records with a score, and one a track of the speedruns."""
    scored = [r for r in rows if isinstance(r, Row)]
    speedruns = map(speedrun_table, boards(r for r in rows if isinstance(r, SpeedrunRow)))
    return [*([archive_table(scored)] if scored else []), *speedruns]


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
    headings = (*(["mean s"] if timed else []), "steps", "n", "mean loss", "p", "record", "checks")
    title = f"{board.track.name}: target {board.target.loss:g}"
    return Columns(rows, headings, range(len(headings) - 2), least=MESSAGE_LEAST, title=title)
