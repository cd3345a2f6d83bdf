"""The two plots of a record: loss over steps, and bpb stage by stage, always beside the standing record."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pgolf.record.delta import StageDelta
from pgolf.record.ledger import SeedScore, Standing

INK, QUIET, GRID = "#1f2328", "#8b949e", "#e6e8eb"
SEEDS = ("#0b62c4", "#d4651a", "#1a8a5a", "#8a4fc9", "#b3364f", "#5c6b00")  # told apart also when colours are not
STANDING = "#7d8894"
WIDTH = 0.36  # of one side of a stage


def loss_curves(new: Sequence[SeedScore], standing: Standing, path: Path) -> Path:
    """Training loss of every seed (nats per token) over steps, the standing record's seeds behind; a PNG."""
    figure, axes = _blank("Training loss", "nats per token")
    for i, seed in enumerate(standing.seeds):
        label = _plain(f"{standing.name} ({len(standing.seeds)} seeds)") if i == 0 else None
        axes.plot(*_xy(seed), color=STANDING, lw=1.2, label=label, zorder=2)
    for i, seed in enumerate(new):
        axes.plot(*_xy(seed), color=SEEDS[i % len(SEEDS)], lw=1.6, label=f"seed {seed.seed}", zorder=3)
    axes.set_xlabel("step", color=INK)
    _zoom(axes, [*new, *standing.seeds])
    if axes.lines:
        axes.legend(frameon=False, labelcolor=INK, fontsize=9)
    return _save(figure, path)


def _xy(seed: SeedScore) -> tuple[list[int], list[float]]:
    return [step for step, _ in seed.curve], [loss for _, loss in seed.curve]


def _zoom(axes: Axes, seeds: Sequence[SeedScore]) -> None:
    """Leave the first tenth of the steps out of the vertical range: it would flatten all the rest."""
    last = max((s.curve[-1][0] for s in seeds if s.curve), default=0)
    losses = [loss for s in seeds for step, loss in s.curve if step >= last / 10]
    if losses and max(losses) > min(losses):
        room = 0.06 * (max(losses) - min(losses))
        axes.set_ylim(min(losses) - room, max(losses) + room)
        axes.set_xlim(0, last * 1.02)


def stage_waterfall(stages: Sequence[StageDelta], new_name: str, standing_name: str, path: Path) -> Path:
    """bpb of each stage, the standing record beside the new one; a PNG.

    A bar runs from the mean of the stage before to this one's, a line is the mean, every seed is a dot, and the number
    above both is the difference of the means (negative: the new one is better).
    """
    figure, axes = _blank("Score by stage", "bits per byte (lower is better)")
    tops = [
        _side(axes, -WIDTH / 2, [s.old for s in stages], STANDING),
        _side(axes, WIDTH / 2, [s.new for s in stages], SEEDS[0]),
    ]
    for x, stage in enumerate(stages):
        if stage.gain is not None:
            _note(axes, x, max(top[x] for top in tops), 7, f"{-stage.gain:+.5f}".replace("-", "−"), INK, 9.5)
    axes.set_xticks(range(len(stages)), [s.label for s in stages], color=INK)
    axes.set_xlim(-0.6, len(stages) - 0.4)
    axes.margins(y=0.16)
    axes.grid(axis="x", visible=False)
    for color, name in ((STANDING, standing_name), (SEEDS[0], new_name)):
        axes.plot([], [], color=color, marker="o", lw=2, ms=5, label=_plain(name))
    axes.legend(frameon=False, labelcolor=INK, fontsize=9)
    return _save(figure, path)


def _side(axes: Axes, shift: float, stages: Sequence[Sequence[float]], color: str) -> dict[int, float]:
    """Draw one record; the upper end of what it drew at each stage."""
    before, tops = None, {}
    for x, values in enumerate(stages):
        if not values:
            continue
        mean, left, width = sum(values) / len(values), x + shift - WIDTH / 2 + 0.02, WIDTH - 0.04
        if before is not None:
            axes.bar(left, mean - before, width, bottom=before, align="edge", color=color, alpha=0.16)
        axes.hlines(mean, left, left + width, color=color, lw=2, zorder=2)
        places = [x + shift + 0.07 * (i - (len(values) - 1) / 2) for i in range(len(values))]
        axes.scatter(places, values, s=20, color=color, edgecolor="white", linewidth=0.7, zorder=3)
        _note(axes, x + shift, min(values), -15, f"{mean:.4f}", INK, 8.5)
        tops[x] = max(*values, mean, before or 0.0)
        before = mean
    return tops


def _note(axes: Axes, x: float, y: float, above: float, text: str, color: str, size: float) -> None:
    """Text over (or, if `above` is negative, under) a point."""
    axes.annotate(text, (x, y), (0, above), textcoords="offset points", ha="center", color=color, fontsize=size)


def _plain(name: str) -> str:
    """A name without the meaning that '$' has for matplotlib, cut to what a legend holds."""
    return (name if len(name) <= 50 else name[:49] + "…").replace("$", r"\$")


def _blank(title: str, unit: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", color=INK, fontsize=12, fontweight="bold")
    axes.set_ylabel(unit, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.tick_params(colors=QUIET, labelcolor=INK)
    axes.grid(color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, format="png", metadata={"Software": None})  # the same bytes wherever it is drawn again
    return path
