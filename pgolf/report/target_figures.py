"""The plots of a speedrun: the validation loss of each variant's runs over the baseline's, by steps and by seconds.

Runs are thin lines, their mean is a thick one. The end, where all is decided, is drawn a second time beside the target.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from pgolf.phrases import counted
from pgolf.report.figures import (
    GOOD,
    MOST_DRAWN,
    QUIET,
    SEEDS,
    STANDING,
    By,
    blank,
    dotted,
    empty,
    legend,
    plain,
    styled,
    zoom,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_POINTS = 200  # of a run's curve that are drawn
MOST_RUNS = 60  # of a variant that are drawn as lines
MOST_DOTS = 500  # of a variant
UNIT = "validation loss, nats per token"


@dataclass(frozen=True)
class Point:
    """A validation loss (nats per token) of a run, or of the mean of a variant's; `seconds`: None where unknown."""

    step: float
    loss: float
    seconds: float | None

    def x(self, by: By) -> float | None:
        """Where it is drawn."""
        return self.step if by == "step" else self.seconds


@dataclass(frozen=True)
class Curves:
    """The runs of one variant that count: the name of each log, and its curve."""

    name: str
    baseline: bool
    runs: Sequence[tuple[str, Sequence[Point]]]

    def mean(self) -> list[Point]:
        """The mean at each step that every run has a loss of."""
        if not self.runs:
            return []
        first, *others = ({p.step: p for p in points} for _, points in self.runs)
        steps = [step for step in first if all(step in other for other in others)]
        return [_mean([run[step] for run in (first, *others)]) for step in steps]


def _mean(points: Sequence[Point]) -> Point:
    seconds = [p.seconds for p in points if p.seconds is not None]
    whole = len(seconds) == len(points)
    return Point(
        step=points[0].step,
        loss=math.fsum(p.loss for p in points) / len(points),
        seconds=math.fsum(seconds) / len(seconds) if whole else None,
    )


def drawable(points: Sequence[Point]) -> list[Point]:
    """A curve as it is drawn: finite, not too many points, the last one among them."""
    good = [p for p in points if abs(p.loss) < MOST_DRAWN and p.step < MOST_DRAWN]
    good = [p for p in good if p.seconds is None or abs(p.seconds) < MOST_DRAWN]
    stride = -(-len(good) // MOST_POINTS)
    return list(reversed(list(islice(reversed(good), 0, None, max(1, stride)))))


def whole(variants: Sequence[Curves], by: By) -> Figure:
    """All of the training, but for its first tenth, which would flatten the rest."""
    figure, axes = blank(UNIT)
    _whole(axes, variants, by)
    return figure


def ends(variants: Sequence[Curves], by: By, target: float) -> Figure:
    """The last losses beside the target; a dot a run, a large one for the mean."""
    figure, axes = blank(UNIT)
    _ends(axes, variants, by, target)
    return figure


def both(variants: Sequence[Curves], by: By, target: float) -> Figure:
    """`whole`, and `ends` below it, for a file that is read on a phone, too."""
    figure = empty(4.8, 6.6)
    above, below = figure.subplots(2, 1)
    for axes in (above, below):
        styled(axes, UNIT)
    _whole(above, variants, by)
    _ends(below, variants, by, target)
    return figure


def _whole(axes: Axes, variants: Sequence[Curves], by: By) -> None:
    _, top = zoom(axes, [_xy(points, by) for v in variants for _, points in v.runs])
    for variant, color, dashes in _colored(variants):
        _lines(axes, variant, color, dashes, by)
        mean = [(p.x(by), p) for p in variant.mean() if p.loss <= top]
        shown = [(x, p) for x, p in mean if x is not None]
        tips = [f"{variant.name}, mean of {len(variant.runs)} · {by} {x:g} · loss {p.loss:.5f}" for x, p in shown]
        dotted(axes, [(x, p.loss) for x, p in shown], color, tips, 12)
    _named(axes, by)


def _ends(axes: Axes, variants: Sequence[Curves], by: By, target: float) -> None:
    window = _window(variants, by, target)
    for variant, color, dashes in _colored(variants):
        _lines(axes, variant, color, dashes, by)
        ends = [(points[-1].x(by), points[-1].loss, name) for name, points in variant.runs]
        shown = [(x, loss, name) for x, loss, name in ends if x is not None]
        drawn = shown[:MOST_DOTS]
        tips = [f"{variant.name} · {name} · {by} {x:g} · loss {loss:g}" for x, loss, name in drawn]
        dotted(axes, [(x, loss) for x, loss, _ in drawn], color, tips, 16)
        if len(shown) > 1:
            x, loss = (math.fsum(values) / len(shown) for values in list(zip(*shown, strict=True))[:2])
            tip = f"{variant.name}, mean of {len(shown)} · {by} {x:g} · loss {loss:.5f}"
            dotted(axes, [(x, loss)], color, [tip], 80)
    axes.axhline(target, color=GOOD, lw=1.4, ls=(0, (5, 3)), zorder=1, label=f"target {target:g}")
    if window:
        (left, right), (low, high) = window
        axes.set_xlim(left, right)
        axes.set_ylim(low, high)
    _named(axes, by)


def _window(
    variants: Sequence[Curves], by: By, target: float
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """The ranges of x and y that hold all ends and the target; None without an end."""
    ends = [(x, points[-1].loss) for v in variants for _, points in v.runs if (x := points[-1].x(by)) is not None]
    if not ends:
        return None
    xs, losses = [x for x, _ in ends], [*(loss for _, loss in ends), target]
    width = max(max(xs) - min(xs), 0.01 * max(xs), 1e-9)
    height = max(max(losses) - min(losses), 1e-4)
    return (min(xs) - 0.6 * width, max(xs) + 0.25 * width), (min(losses) - 0.12 * height, max(losses) + 0.3 * height)


def _lines(axes: Axes, variant: Curves, color: str, dashes: str, by: By) -> None:
    for _, points in variant.runs[:MOST_RUNS]:
        if line := _xy(points, by):
            axes.plot(*zip(*line, strict=True), color=color, lw=0.6, alpha=0.35)
    label = f"{plain(variant.name)} ({counted(len(variant.runs), 'run')})"
    if mean := _xy(variant.mean(), by):
        axes.plot(*zip(*mean, strict=True), color=color, ls=dashes, lw=1.8, label=label)
    else:
        axes.plot([], [], color=color, ls=dashes, lw=1.8, label=label)


def _colored(variants: Sequence[Curves]) -> list[tuple[Curves, str, str]]:
    """Each variant, its colour, and its dashes where colours repeat; the baseline first, so that it lies behind."""
    colors = [(color, dashes) for dashes in ("-", "--", ":") for color in SEEDS]
    new = [(v, *colors[i % len(colors)]) for i, v in enumerate(v for v in variants if not v.baseline)]
    return [*((v, STANDING, "-") for v in variants if v.baseline), *new]


def _xy(points: Sequence[Point], by: By) -> list[tuple[float, float]]:
    return [(x, p.loss) for p in points if (x := p.x(by)) is not None]


def _named(axes: Axes, by: By) -> None:
    axes.set_xlabel({"step": "step", "seconds": "seconds of training"}[by], color=QUIET)
    legend(axes)
