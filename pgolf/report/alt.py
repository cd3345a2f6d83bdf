"""What each figure shows, in words: for those who do not see it, in a README and on a page."""

from collections.abc import Sequence

from pgolf.audit.differences import StageDifference
from pgolf.ledger import SeedScore, StandingRecord
from pgolf.phrases import counted, signed
from pgolf.report.figures import MOST_DRAWN, By
from pgolf.stats.comparison import Comparison


def of_loss_curves(new: Sequence[SeedScore], standing: StandingRecord | None, by: By = "step") -> str:
    """Of `figures.loss_curves`."""
    over = {"step": "steps", "seconds": "seconds of training"}[by]
    behind = f", {standing.name} in grey behind" if standing else ""
    last = [s.curve[-1][1] for s in new if s.curve and abs(s.curve[-1][1]) < MOST_DRAWN]
    ends = f"; the last losses are {_range(last, 4)} nats per token" if last else ""
    return f"Training loss of {counted(len(new), 'seed')} over {over}{behind}{ends}"


def of_stages(stages: Sequence[StageDifference], standing: StandingRecord | None) -> str:
    """Of `figures.stage_waterfall`."""
    beside = f", {standing.name} beside it" if standing and any(s.old for s in stages) else ""
    means = [
        f"{s.label} {s.new_mean:.4f}" + ("" if s.gain is None else f" (gain {signed(s.gain, 5)})")
        for s in stages
        if s.new_mean is not None
    ]
    return f"Mean bits per byte after each stage{beside}: {', '.join(means) or 'none is scored'}"


def of_gain(comparison: Comparison) -> str:
    """Of `figures.gain_interval`."""
    ci, bar = comparison.ci95_bpb, comparison.margin_bpb
    interval = f", 95 % interval {signed(ci[0], 5)} to {signed(ci[1], 5)}" if ci else ""
    beside = f"; the bar is {signed(bar, 5)}" if bar else ""
    return f"Gain over {comparison.old.label}: {signed(comparison.delta_bpb, 5)} bits per byte{interval}{beside}"


def _range(values: Sequence[float], digits: int) -> str:
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return low if low == high else f"{low} to {high}"
