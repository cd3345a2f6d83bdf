"""The plots of a record, always beside the standing one: as PNGs for its README, as inline SVGs for its report.

An SVG takes its colours from the page (light or dark), its text is text, and its points tell on hovering what they are.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from io import StringIO
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from markupsafe import Markup

from pgolf.audit.differences import StageDifference
from pgolf.evidence.lines import printable
from pgolf.ledger import SeedScore, StandingRecord
from pgolf.phrases import counted, signed
from pgolf.stats.comparison import Comparison

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, QUIET, GRID, PAPER = "#1f2328", "#6e7781", "#e6e8eb", "#ffffff"
SEEDS = ("#0b62c4", "#c2570c", "#1a8a5a", "#8a4fc9", "#b3364f", "#5c6b00")  # told apart also when colours are not
STANDING, GOOD = "#7d8894", "#1a7f37"
VARIABLES = {  # of the page's style sheet, each with the colour that it stands for here
    INK: "ink",
    QUIET: "quiet",
    GRID: "grid",
    PAPER: "paper",
    STANDING: "old",
    GOOD: "good",
    **{color: f"seed-{i}" for i, color in enumerate(SEEDS)},
}
WIDTH = 0.36  # of one side of a stage
SVG = "http://www.w3.org/2000/svg"
ET.register_namespace("", SVG)
ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")
TIPS, BETWEEN = "tips:", " \N{SYMBOL FOR RECORD SEPARATOR} "  # how an artist's id carries what its points say

By = Literal["step", "seconds"]


def loss_curves(new: Sequence[SeedScore], standing: StandingRecord | None, by: By = "step") -> Figure:
    """Training loss of every seed (nats per token) over steps or seconds, the standing record's seeds behind."""
    figure, axes = blank("training loss, nats per token")
    curves = [(s, SEEDS[i % len(SEEDS)], f"seed {s.seed}", 1.5) for i, s in enumerate(new)]
    if standing:
        name = plain(f"{standing.name} ({counted(len(standing.seeds), 'seed')})")
        curves = [(s, STANDING, name if i == 0 else "", 1.1) for i, s in enumerate(standing.seeds)] + curves
    top = zoom(axes, [_points(seed, by) for seed, *_ in curves])
    for seed, color, label, width in curves:
        points = _points(seed, by)
        if not points:
            continue
        axes.plot(*zip(*points, strict=True), color=color, lw=width, label=label or None)
        who = f"{standing.name} seed {seed.seed}" if standing and color == STANDING else f"seed {seed.seed}"
        seen = [(x, y) for x, y in points if y <= top]
        dotted(axes, seen, color, [f"{who} · {by} {x:g} · loss {y:.4f}" for x, y in seen], 9)
    axes.set_xlabel("step" if by == "step" else "seconds of training", color=QUIET)
    if axes.lines:
        axes.legend(frameon=False, labelcolor=INK, fontsize=8.5)
    return figure


def _points(seed: SeedScore, by: By) -> list[tuple[float, float]]:
    if by == "step":
        return [(float(step), loss) for step, loss in seed.curve]
    return [(s, loss) for s, (_, loss) in zip(seed.curve_seconds, seed.curve, strict=False)]


def zoom(axes: Axes, curves: Sequence[list[tuple[float, float]]]) -> float:
    """Leave the first tenth out of the vertical range, since it would flatten all the rest; the range's upper end."""
    last = max((points[-1][0] for points in curves if points), default=0.0)
    losses = [loss for points in curves for x, loss in points if x >= last / 10]
    if not losses or max(losses) == min(losses):
        return math.inf
    room = 0.06 * (max(losses) - min(losses))
    axes.set_ylim(min(losses) - room, max(losses) + room)
    axes.set_xlim(0, last * 1.02)
    return max(losses) + room


def stage_waterfall(stages: Sequence[StageDifference], new_name: str, standing_name: str | None) -> Figure:
    """bpb of each stage, the standing record beside the new one.

    A bar runs from the mean of the stage before to this one's, a line is the mean, every seed is a dot, and the number
    above both is the gain (above zero: the new one is better).
    """
    figure, axes = blank("bits per byte (lower is better)")
    standing_name = standing_name if any(s.old for s in stages) else None  # it may be known by its final scores only
    sides = [(-WIDTH / 2, [s.old for s in stages], STANDING, standing_name or "")] if standing_name else []
    sides += [(WIDTH / 2 if standing_name else 0.0, [s.new for s in stages], SEEDS[0], new_name)]
    tops: dict[int, float] = {}
    for shift, values, color, name in sides:
        for x, top in _side(axes, shift, values, color, name):
            tops[x] = max(top, tops.get(x, top))
        axes.plot([], [], color=color, marker="o", lw=2, ms=5, label=plain(name))
    for x, stage in enumerate(stages):
        if stage.gain is not None:
            note(axes, x, tops[x], 7, _signed(stage.gain, 5), INK, 9)
    axes.set_xticks(range(len(stages)), [s.label for s in stages], color=INK)
    axes.set_xlim(-0.6, len(stages) - 0.4)
    axes.margins(y=0.16)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.2 * (high - low))  # the legend's room
    axes.grid(axis="x", visible=False)
    axes.legend(frameon=False, labelcolor=INK, fontsize=8.5, loc="upper left", ncols=2 if standing_name else 1)
    return figure


def _side(
    axes: Axes, shift: float, stages: Sequence[Sequence[float]], color: str, name: str
) -> Iterator[tuple[int, float]]:
    """Draw one record; the upper end of what it drew at each stage."""
    before = None
    for x, values in enumerate(stages):
        if not values:
            continue
        mean, left, width = sum(values) / len(values), x + shift - WIDTH / 2 + 0.02, WIDTH - 0.04
        if before is not None:
            axes.bar(left, mean - before, width, bottom=before, align="edge", color=color, alpha=0.16)
        axes.hlines(mean, left, left + width, color=color, lw=2, zorder=2)
        places = [x + shift + 0.07 * (i - (len(values) - 1) / 2) for i in range(len(values))]
        dotted(axes, list(zip(places, values, strict=True)), color, [f"{name}: {v:.8f} bpb" for v in values])
        note(axes, x + shift, min(values), -14, f"{mean:.4f}", INK, 8)
        yield x, max(*values, mean, before or 0.0)
        before = mean


def gain_interval(comparison: Comparison) -> Figure:
    """Δ (previous mean − new, bpb) with its 95 % interval, against zero and against the bar; every seed is a dot.

    A seed's dot is its distance from the previous mean, so the previous record's own seeds lie around zero.
    """
    new, old, delta, ci = comparison.new, comparison.old, comparison.delta_bpb, comparison.ci95_bpb
    figure, axes = blank("", height=2.1)
    color = GOOD if comparison.clears else SEEDS[0]
    for y, sample, dot in ((2.0, new, SEEDS[0]), (0.0, old, STANDING)):
        points = [(old.mean - v, y) for v in sample.values]
        numbers = sample.seeds or range(1, len(points) + 1)
        tips = [f"seed {s}: {v:.8f} bpb" for s, v in zip(numbers, sample.values, strict=False)]
        dotted(axes, points, dot, tips, 26)
    if ci:
        axes.hlines(1, *ci, color=color, lw=5, alpha=0.35, zorder=2)
    dotted(axes, [(delta, 1.0)], color, [f"Δ {_signed(delta, 8)} bpb"], 60)
    axes.axvline(0, color=INK, lw=1)
    note(axes, 0, 2.75, 0, "no gain\u00a0", INK, 9, "right")
    if comparison.margin_bpb:
        axes.axvline(comparison.margin_bpb, color=QUIET, lw=1.2, ls=(0, (4, 3)))
        note(axes, comparison.margin_bpb, 2.75, 0, f"\u00a0the bar, {comparison.margin_nats:g} nats", INK, 9, "left")
    axes.set_yticks([2, 1, 0], ["new seeds", "Δ, 95 % interval" if ci else "Δ", "previous seeds"], color=INK)
    axes.set_ylim(-0.5, 3.3)
    axes.margins(x=0.08)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("gain in bits per byte (further right is better)", color=QUIET)
    return figure


@dataclass(frozen=True)
class Dated:
    """A record of an archive: its day, mean final score, half its 95 % interval (None: one seed), and its name."""

    day: date
    mean_bpb: float
    half_interval: float | None
    name: str


def frontier(records: Sequence[Dated]) -> Figure:
    """Scores of an archive's records by day, with 95 % intervals, and the best of each day's past as a line."""
    figure, axes = blank("bits per byte (lower is better)", width=8.4, height=3.8)
    records = sorted(records, key=lambda r: (r.day, -r.mean_bpb))
    days, best = [r.day.toordinal() for r in records], list(accumulate((r.mean_bpb for r in records), min))
    axes.step(days, best, where="post", color=SEEDS[0], lw=1.6, label="best so far")
    for day, r in zip(days, records, strict=True):
        if r.half_interval is not None:
            axes.vlines(day, r.mean_bpb - r.half_interval, r.mean_bpb + r.half_interval, color=QUIET, lw=1)
    many, one = [r for r in records if r.half_interval is not None], [r for r in records if r.half_interval is None]
    for group, color, label in (
        (many, SEEDS[0], "mean of several seeds, 95 % interval"),
        (one, STANDING, "one seed: spread unknown"),
    ):
        tips = [f"{r.day} · {r.mean_bpb:.5f} bpb · {r.name}" for r in group]
        dots = dotted(axes, [(float(r.day.toordinal()), r.mean_bpb) for r in group], color, tips, 34)
        if dots:
            dots.set_label(label)
    ticks = range(days[0], days[-1] + 1, max(1, math.ceil((days[-1] - days[0]) / 7)))
    axes.set_xticks(ticks, [date.fromordinal(t).isoformat() for t in ticks])
    axes.legend(frameon=False, labelcolor=INK, fontsize=8.5)
    return figure


def dotted(
    axes: Axes, points: Sequence[tuple[float, float]], color: str, tips: Sequence[str], size: float = 20
) -> Artist | None:
    """A dot a point; what it is shows on hovering, in an SVG."""
    if not points:
        return None
    xs, ys = zip(*points, strict=True)
    dots = axes.scatter(xs, ys, s=size, color=color, edgecolor=PAPER, linewidth=0.6, zorder=3)
    dots.set_gid(TIPS + BETWEEN.join(printable(tip) for tip in tips))
    return dots


def note(axes: Axes, x: float, y: float, above: float, text: str, color: str, size: float, at: str = "center") -> None:
    """Text over (or, if `above` is negative, under) a point."""
    axes.annotate(text, (x, y), (0, above), textcoords="offset points", ha=at, color=color, fontsize=size)


def _signed(value: float, digits: int) -> str:
    """A difference as the axes write numbers: with a true minus."""
    return signed(value, digits).replace("-", "\N{MINUS SIGN}")


def plain(name: str) -> str:
    """A name without the meaning that '$' has for matplotlib, cut to what a legend holds."""
    name = printable(name, 34)
    return ("\u200b" + name if name.startswith("_") else name).replace("$", r"\$")  # a leading '_' hides a label


def blank(unit: str, width: float = 5.4, height: float = 3.4) -> tuple[Figure, Axes]:
    """A figure of so many inches with one pair of axes, whose vertical one has this unit."""
    figure = empty(width, height)
    axes = figure.add_subplot()
    styled(axes, unit)
    return figure, axes


def empty(width: float, height: float) -> Figure:
    """A figure of so many inches without axes."""
    from matplotlib.figure import Figure  # takes a second; a record is prepared and trained without it

    return Figure(figsize=(width, height), dpi=200, layout="constrained", facecolor=PAPER)


def styled(axes: Axes, unit: str) -> None:
    """Give a pair of axes the look of all of them."""
    axes.set_ylabel(unit, color=QUIET, fontsize=9)
    axes.xaxis.label.set_fontsize(9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.tick_params(colors=QUIET, labelcolor=INK, labelsize=9)
    axes.grid(color=GRID, lw=0.8)
    axes.set_axisbelow(True)


def save_png(figure: Figure, path: Path, title: str) -> Path:
    """Write a figure under its title; the same bytes wherever it is drawn again."""
    figure.axes[0].set_title(title, loc="left", color=INK, fontsize=11, fontweight="bold")
    figure.savefig(path, format="png", metadata={"Software": None})
    return path


def as_svg(figure: Figure, label: str) -> Markup:
    """A figure as an element of a page, the same bytes every time; `label` is what a screen reader says of it."""
    import matplotlib

    out = StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "pgolf"}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    root = ET.fromstring(re.sub(r"<!DOCTYPE[^>]*>", "", out.getvalue(), count=1))
    for useless in (*root.findall(f"{{{SVG}}}metadata"), *root.findall(f"{{{SVG}}}defs")[:1]):
        root.remove(useless)
    referred = set(re.findall(r"#([\w-]+)", out.getvalue()))
    for element in root.iter():
        identity = element.attrib.get("id", "")
        if identity.startswith(TIPS):
            _tell(element, identity.removeprefix(TIPS).split(BETWEEN))
        if identity not in referred:
            element.attrib.pop("id", None)
        if style := element.get("style"):
            element.set("style", re.sub(r"font-family: [^;]*(; )?", "", _themed(style)))
    for size in ("width", "height"):
        root.attrib.pop(size)
    root.attrib |= {"role": "img", "aria-label": printable(label, 500)}
    return Markup(ET.tostring(root, encoding="unicode"))


def _tell(dots: ET.Element, tips: Sequence[str]) -> None:
    for use, tip in zip(dots.iter(f"{{{SVG}}}use"), tips, strict=True):
        ET.SubElement(use, f"{{{SVG}}}title").text = tip


def _themed(style: str) -> str:
    """A style whose colours are the page's."""
    return re.sub(r"#[0-9a-f]{6}", lambda c: f"var(--{VARIABLES[c[0]]})" if c[0] in VARIABLES else c[0], style)
