"""The frontier of an archive: every record by its day, and the best so far of those that count as a line.

The frame is the frontier's and that of most records: a record or an interval that leaves it is an arrow at its edge,
with its value, so that one odd record does not flatten all others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from statistics import quantiles
from typing import TYPE_CHECKING, Protocol, TypeVar

from markupsafe import Markup

from pgolf.report import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE = 4.0  # the greatest value over the least, from which an axis may be logarithmic
NICE = (1, 1.5, 2, 3, 4, 5, 6, 8)  # ticks of a decade
ROOM = 0.06  # of the frame, left over and under it
MOST_LEVELS = 4  # values at an edge that stand above each other


class Record(Protocol):
    """What a line of an archive's table says of its place on the frontier."""

    @property
    def day(self) -> date | None: ...
    @property
    def measure(self) -> float | None: ...
    @property
    def doubt(self) -> str: ...


R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Kind:
    """How a group of records is drawn: told apart by its marker, not by its colour alone."""

    label: str
    color: str
    marker: str
    hollow: bool = False


@dataclass(frozen=True)
class Dated:
    """A point: its day, its value, half of its 95 % interval (None: unknown), and what it says on hovering."""

    day: date
    value: float
    half_interval: float | None
    kind: Kind
    tip: str


@dataclass(frozen=True)
class Axis:
    """The vertical one: what it says, a value of it in words, and whether it may be logarithmic."""

    unit: str
    number: Callable[[float], str]
    log: bool = False


def leaders(rows: Iterable[R]) -> list[R]:
    """The records that made the frontier: each better than all that count before it, in the order of their days."""
    counted = [(r.day, r.measure, r) for r in rows if r.day and r.measure is not None and not r.doubt]
    found: list[R] = []
    best = math.inf
    for _, value, row in sorted(counted, key=lambda c: c[:2]):
        if value < best:
            best = value
            found.append(row)
    return found


def charts(points: Sequence[Dated], line: Sequence[Record], axis: Axis, label: str) -> Markup | None:
    """The frontier drawn twice, for a wide screen and for a narrow one; None for fewer than two records."""
    if len(points) < 2:
        return None
    drawn = Markup()
    for narrow in (False, True):
        svg = figures.as_svg(draw(points, line, axis, narrow), f"{label}; the table below has the figures")
        drawn += Markup('<div class="{}">{}</div>').format("on-narrow" if narrow else "on-wide", svg)
    return drawn


def draw(points: Sequence[Dated], line: Sequence[Record], axis: Axis, narrow: bool = False) -> Figure:
    """Every point, and the line of those that lead."""
    figure, axes = figures.blank(axis.unit, *((4.7, 4.4) if narrow else (8.4, 4.2)))
    days = [p.day.toordinal() for p in points]
    best = [(r.day.toordinal(), r.measure) for r in line if r.day and r.measure is not None]
    low, high = _frame(axes, points, [y for _, y in best], axis.log)
    if best:
        xs, ys = zip(*best, (max(*days, min(days) + 1), best[-1][1]), strict=True)
        axes.step(xs, ys, where="post", color=figures.SEEDS[0], lw=1.6, label="best so far")
    for p in points:
        if p.half_interval and low <= p.value <= high:
            _interval(axes, p, low, high)
    for kind in dict.fromkeys(p.kind for p in points):
        _dots(axes, [p for p in points if p.kind == kind and low <= p.value <= high], kind)
    _outside(axes, sorted((p for p in points if p.value > high), key=lambda p: p.day), True, axis, narrow)
    _outside(axes, sorted((p for p in points if p.value < low), key=lambda p: p.day), False, axis, narrow)
    axes.set_yticks([y for y in axes.get_yticks() if low <= y <= high])  # none where the arrows are
    _dates(axes, min(days), max(days), 3 if narrow else 7)
    figure.legend(loc="outside lower left", frameon=False, labelcolor=figures.INK, fontsize=8.5, ncols=1 + (not narrow))
    return figure


def _frame(axes: Axes, points: Sequence[Dated], best: Sequence[float], log: bool) -> tuple[float, float]:
    """Set the vertical range to the frontier's and that of all points but outliers (Tukey's fences); its two ends.

    An interval counts if it is not longer than the range without it.
    """
    inside = [*_within_fences([p.value for p in points]), *best]
    if log and min(inside) > 0 and max(inside) / min(inside) > WIDE:
        _logarithmic(axes)
        positive = [math.log(p.value) for p in points if p.value > 0]
        low, high = _spread([*_within_fences(positive), *map(math.log, best)])
        low, high = math.exp(low), math.exp(high)
    else:
        low, high = min(inside), max(inside)
        halves = [(p.value, p.half_interval or 0.0) for p in points if low <= p.value <= high]
        short = [(y - half, y + half) for y, half in halves if 2 * half <= high - low]
        low, high = _spread([low, high, *(end for ends in short for end in ends)])
    axes.set_ylim(low, high)
    return low, high


def _spread(values: Sequence[float]) -> tuple[float, float]:
    """The two ends of the values, with a little room."""
    room = ROOM * (max(values) - min(values)) or 0.01 * abs(max(values)) or 1.0
    return min(values) - room, max(values) + room


def _within_fences(values: Sequence[float]) -> list[float]:
    if len(values) < 2:
        return list(values)
    lower, _, upper = quantiles(values, n=4, method="inclusive")
    reach = 1.5 * (upper - lower)
    return [v for v in values if lower - reach <= v <= upper + reach]


def _logarithmic(axes: Axes) -> None:
    """An axis whose ticks are numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=NICE))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}" if y >= 10 else f"{y:g}"))


def _interval(axes: Axes, p: Dated, low: float, high: float) -> None:
    """A bar as far as the frame goes; an arrow where it goes on."""
    x, half = p.day.toordinal(), p.half_interval or 0.0
    axes.vlines(x, max(p.value - half, low), min(p.value + half, high), color=figures.QUIET, lw=1)
    for leaves, edge, marker in ((p.value + half > high, high, "^"), (p.value - half < low, low, "v")):
        if leaves:
            axes.scatter([x], [edge], s=22, marker=marker, color=figures.QUIET, clip_on=False, zorder=3)
            figures.note(axes, x, edge, -10 if marker == "^" else 5, f"  ±{half:.2g}", figures.QUIET, 8, "left")


def _dots(axes: Axes, points: Sequence[Dated], kind: Kind) -> None:
    places = [(float(p.day.toordinal()), p.value) for p in points]
    dots = figures.dotted(axes, places, kind.color, [p.tip for p in points], 40, kind.marker)
    if dots is None:  # all are outside the frame; the legend names the kind all the same
        dots = axes.scatter([], [], s=34, color=kind.color, marker=kind.marker)
    dots.set_label(kind.label)
    if kind.hollow:
        dots.set(facecolor=figures.PAPER, edgecolor=kind.color, linewidth=1.3)


def _outside(axes: Axes, points: Sequence[Dated], up: bool, axis: Axis, narrow: bool) -> None:
    """Arrows at an edge with the values of the points beyond the frame, in a strip that is added to it for them."""
    if not points:
        return
    days = axes.dataLim.intervalx
    gap = (days[1] - days[0]) * (0.2 if narrow else 0.09)
    ends = [-math.inf] * MOST_LEVELS  # where the last value of each level stands
    levels: list[int | None] = []
    for p in points:
        x = p.day.toordinal()
        levels.append(next((n for n, end in enumerate(ends) if x - end >= gap), None))
        if levels[-1] is not None:
            ends[levels[-1]] = x
    edge = _with_strip(axes, up, 0.06 + 0.05 * sum(end > -math.inf for end in ends))
    for p, level in zip(points, levels, strict=True):
        x = p.day.toordinal()
        arrow = figures.dotted(axes, [(x, edge)], p.kind.color, [p.tip], 40, "^" if up else "v")
        if arrow:
            arrow.set_clip_on(False)
        if level is not None:
            above = -15 - 10 * level if up else 8 + 10 * level
            figures.note(axes, x, edge, above, axis.number(p.value), figures.INK, 8)


def _with_strip(axes: Axes, up: bool, share: float) -> float:
    """Make the vertical range longer at one end by this share; where that end is now."""
    ends = axes.get_ylim()
    log = axes.get_yscale() == "log"
    low, high = map(math.log, ends) if log else ends
    edge = high + share * (high - low) if up else low - share * (high - low)
    edge = math.exp(edge) if log else edge
    axes.set_ylim(*((None, edge) if up else (edge, None)))
    return edge


def _dates(axes: Axes, first: int, last: int, most: int) -> None:
    ticks = range(first, last + 1, max(1, math.ceil((last - first) / most)))
    axes.set_xticks(ticks, [date.fromordinal(t).isoformat() for t in ticks])
