"""The plots of a record, always beside the standing one: as PNGs for its README, as inline SVGs for its report.

An SVG takes its colours from the page (light or dark), its text is text, and its points tell on hovering what they are.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from io import StringIO
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
MOST_DRAWN = 1e9  # a loss, step or time beyond it is an error, and would leave no other one visible
MOST_BEYOND = 3  # times the length of a run that a standing record is shown for
MOST_CENTERED = 3  # stages whose bars are wider than the numbers under them
NAMES = 8.5  # points: the size of a legend
SVG = "http://www.w3.org/2000/svg"
ET.register_namespace("", SVG)
ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")
TIPS, BETWEEN = "tips:", " \N{SYMBOL FOR RECORD SEPARATOR} "  # how an artist's id carries what its points say

By = Literal["step", "seconds"]
Side = Literal["left", "center", "right"]


def loss_curves(new: Sequence[SeedScore], standing: StandingRecord | None, by: By = "step") -> Figure:
    """Training loss of every seed (nats per token) over steps or seconds, the standing record's seeds behind.

    A loss that is not finite is left out, and its seed marked. Where the standing record trains much longer, its end is
    out of the frame.
    """
    figure, axes = blank("training loss, nats per token")
    old = standing.seeds if standing else ()
    ours, theirs = [_points(s, by) for s in new], [_points(s, by) for s in old]
    right, top = zoom(axes, ours, theirs)
    said = f"{plain(standing.name, 28)} ({counted(len(old), 'seed')})" if standing else ""
    marked = [f"{name} (not all finite)" * _diverges(s) or name for name, s in zip(names(new), new, strict=True)]
    sides = [(theirs, names(old), STANDING, 1.1, [said] + [""] * len(old)), (ours, names(new), "", 1.5, marked)]
    for curves, whose, color, width, labels in sides:
        behind = f"{standing.name} " if standing and color else ""
        for i, points in enumerate(curves):
            shade = color or SEEDS[i % len(SEEDS)]
            axes.plot([x for x, _ in points], [y for _, y in points], color=shade, lw=width, label=labels[i] or None)
            seen = [(x, y) for x, y in points if x <= right and y <= top]
            tips = [f"{behind}{whose[i]} · {by} {x:g} · loss {y:.4f}" for x, y in seen]
            dotted(axes, seen, shade, tips, 9 if points[1:] else 30)  # one alone has no line to be seen by
    end = max((points[-1][0] for points in theirs if points), default=0.0)
    further = f" (the standing record goes on to {end:,.0f})" if end > right else ""
    axes.set_xlabel(("step" if by == "step" else "seconds of training") + further, color=QUIET)
    if not any(ours + theirs):
        axes.text(0.5, 0.5, f"no loss by {by}", transform=axes.transAxes, ha="center", color=QUIET, fontsize=9)
    legend(axes)
    return figure


def names(scores: Sequence[SeedScore]) -> list[str]:
    """What each seed is called: runs of one seed are told apart, and a run of no stated seed is counted."""
    seeds = [s.seed for s in scores]
    return [
        f"run {i + 1}" if s is None else f"seed {s}" + (f", run {i + 1}" if seeds.count(s) > 1 else "")
        for i, s in enumerate(seeds)
    ]


def _diverges(seed: SeedScore) -> bool:
    return any(not abs(loss) < MOST_DRAWN for _, loss in seed.curve)


def _points(seed: SeedScore, by: By) -> list[tuple[float, float]]:
    xs = [float(step) for step, _ in seed.curve] if by == "step" else seed.curve_seconds
    points = [(x, loss) for x, (_, loss) in zip(xs, seed.curve, strict=False)]
    return [(x, loss) for x, loss in points if abs(x) < MOST_DRAWN and abs(loss) < MOST_DRAWN]


def zoom(
    axes: Axes, curves: Sequence[list[tuple[float, float]]], behind: Sequence[list[tuple[float, float]]] = ()
) -> tuple[float, float]:
    """Show these curves to their end, and what of those behind them fits the frame; its right and its upper end.

    The first tenth of a curve is left out of the vertical range, since it would flatten all the rest.
    """
    own, last = (max((points[-1][0] for points in group if points), default=0.0) for group in (curves, behind))
    right = max(own, min(last, MOST_BEYOND * own)) if own > 0 else last
    losses = [loss for points in curves for x, loss in points if x >= points[-1][0] / 10]
    losses += [loss for points in behind for x, loss in points if right / 10 <= x <= right]
    if not losses:
        return math.inf, math.inf
    room = 0.06 * (max(losses) - min(losses)) or 0.01 * abs(losses[0]) or 0.01
    axes.set_ylim(min(losses) - room, max(losses) + room)
    if right > 0:
        axes.set_xlim(0, right * 1.02)
    return right if right > 0 else math.inf, max(losses) + room


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
        axes.plot([], [], color=color, marker="o", lw=2, ms=5, label=plain(name, 40))
    for x, stage in enumerate(stages):
        if stage.gain is not None:
            note(axes, x, tops[x], 7, _signed(stage.gain, 5), INK, 9)
    axes.set_xticks(range(len(stages)), [s.label.replace(" ", "\n") for s in stages], color=INK)
    axes.set_xlim(-0.6, len(stages) - 0.4)
    axes.use_sticky_edges = False  # or a bar at the top would leave no room for what is above it
    axes.margins(y=0.16)
    axes.grid(axis="x", visible=False)
    legend(axes)
    return figure


def _side(
    axes: Axes, shift: float, stages: Sequence[Sequence[float]], color: str, name: str
) -> Iterator[tuple[int, float]]:
    """Draw one record; the upper end of what it drew at each stage."""
    before = None
    outward: Side = "right" if shift < 0 else "left"
    for x, values in enumerate(stages):
        if not values:
            continue
        mean, left, width = sum(values) / len(values), x + shift - WIDTH / 2 + 0.02, WIDTH - 0.04
        if before is not None:
            axes.bar(left, mean - before, width, bottom=before, align="edge", color=color, alpha=0.16)
        axes.hlines(mean, left, left + width, color=color, lw=2, zorder=2)
        step = min(0.07, width / len(values))  # many seeds keep inside their bar
        places = [x + shift + step * (i - (len(values) - 1) / 2) for i in range(len(values))]
        dotted(axes, list(zip(places, values, strict=True)), color, [f"{name}: {v:.8f} bpb" for v in values])
        inner = x + 0.01 * (1 if shift > 0 else -1)  # where bars are narrow, numbers side by side would touch
        at, side = (inner, outward) if len(stages) > MOST_CENTERED and shift else (x + shift, "center")
        note(axes, at, min(values), -14, f"{mean:.4f}", INK, 8, side)
        yield x, max(*values, mean, before or 0.0)
        before = mean


def gain_interval(comparison: Comparison) -> Figure:
    """Δ (previous mean − new, bpb) with its 95 % interval, against zero and against the bar; every seed is a dot.

    A seed's dot is its distance from the previous mean, so the previous record's own seeds lie around zero.
    """
    new, old, delta, ci = comparison.new, comparison.old, comparison.delta_bpb, comparison.ci95_bpb
    figure, axes = blank("", height=2.2)
    color = GOOD if comparison.clears else SEEDS[0]
    for y, sample, dot in ((2.0, new, SEEDS[0]), (0.0, old, STANDING)):
        points = [(old.mean - v, y) for v in sample.values]
        numbers = sample.seeds or range(1, len(points) + 1)
        tips = [f"seed {s}: {v:.8f} bpb" for s, v in zip(numbers, sample.values, strict=False)]
        dotted(axes, points, dot, tips, 26)
    if ci:
        axes.hlines(1, *ci, color=color, lw=5, alpha=0.35, zorder=2)
    dotted(axes, [(delta, 1.0)], color, [f"Δ {_signed(delta, 8)} bpb"], 60)
    axes.margins(x=0.08)
    _line(axes, 0, 2.7, "no gain\u00a0", "right", INK, "-")
    if bar := comparison.margin_bpb:
        text, room = f"the bar, {comparison.margin_nats:g} nats", sum(axes.get_xlim()) / 2 - bar
        said: tuple[str, Side] = (f"\u00a0{text}", "left") if room > 0 else (f"{text}\u00a0", "right")
        _line(axes, bar, 3.4, *said, QUIET, (0, (4, 3)))
    axes.set_yticks([2, 1, 0], ["new seeds", "Δ, 95 % interval" if ci else "Δ", "previous seeds"], color=INK)
    axes.set_ylim(-0.5, 4)
    axes.locator_params(axis="x", nbins=5)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("gain in bits per byte (further right is better)", color=QUIET)
    return figure


def _line(
    axes: Axes, x: float, y: float, text: str, side: Side, color: str, dashes: str | tuple[int, tuple[int, int]]
) -> None:
    """A vertical line up to its name, which is on one side of it."""
    axes.vlines(x, -0.5, y + 0.4, color=color, lw=1.2, ls=dashes)
    note(axes, x, y, 0, text, INK, 9, side)


def dotted(
    axes: Axes,
    points: Sequence[tuple[float, float]],
    color: str,
    tips: Sequence[str],
    size: float = 20,
    marker: str = "o",
) -> Artist | None:
    """A dot a point, or another marker; what it is shows on hovering, in an SVG."""
    if not points:
        return None
    xs, ys = zip(*points, strict=True)
    dots = axes.scatter(xs, ys, s=size, color=color, marker=marker, edgecolor=PAPER, linewidth=0.6, zorder=3)
    dots.set_gid(TIPS + BETWEEN.join(printable(tip) for tip in tips))
    return dots


def note(axes: Axes, x: float, y: float, above: float, text: str, color: str, size: float, at: Side = "center") -> None:
    """Text over (or, if `above` is negative, under) a point; the axes do not shrink to make room for it."""
    said = axes.annotate(text, (x, y), (0, above), textcoords="offset points", ha=at, color=color, fontsize=size)
    said.set_in_layout(False)


def legend(axes: Axes) -> None:
    """The names of what is drawn, above the plot, where they hide nothing; side by side as far as there is room."""
    handles, labels = axes.get_legend_handles_labels()
    if not labels:
        return
    widths = [0.6 * NAMES * len(label) + 4 * NAMES for label in labels]  # points
    room = 72 * axes.figure.bbox.width / axes.figure.dpi - 60
    columns = next(n for n in range(len(labels), 0, -1) if n == 1 or _width(widths, n) <= room)
    by_column = [i for column in range(columns) for i in range(column, len(labels), columns)]  # it is read by row
    axes.legend(
        [handles[i] for i in by_column],
        [labels[i] for i in by_column],
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        borderaxespad=0.3,
        ncols=columns,
        columnspacing=1.2,
        frameon=False,
        labelcolor=INK,
        fontsize=NAMES,
    )


def _width(widths: Sequence[float], columns: int) -> float:
    """Of names in so many columns, row by row."""
    return sum(max(widths[i::columns]) for i in range(columns))


def _signed(value: float, digits: int) -> str:
    """A difference as the axes write numbers: with a true minus."""
    return signed(value, digits).replace("-", "\N{MINUS SIGN}")


def plain(name: str, most: int = 34) -> str:
    """A name without the meaning that '$' has for matplotlib, cut to what a legend holds."""
    name = printable(name, most)
    return ("\u200b" + name if name.startswith("_") else name).replace("$", r"\$")  # a leading '_' hides a label


def blank(unit: str, width: float = 4.8, height: float = 3.3) -> tuple[Figure, Axes]:
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
    figure.suptitle(title, x=0.012, ha="left", color=INK, fontsize=11, fontweight="bold")
    figure.savefig(path, format="png", metadata={"Software": None})
    return path


def as_svg(figure: Figure, label: str) -> Markup:
    """A figure as an element of a page, the same bytes every time; `label` is what a screen reader says of it."""
    import matplotlib

    out = StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": f"pgolf {figure.get_figwidth():g}"}):
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
