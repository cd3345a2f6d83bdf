"""A speedrun's figures as words, the same in every format: a row a variant, a row a run, and what is to be said beside.

A gain is the baseline − the variant, a gap is the target − the mean: above zero is better, as everywhere.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pgolf.audit.checks.speedrun.review import VariantFigures
from pgolf.audit.target import TargetAudit
from pgolf.evidence.lines import printable
from pgolf.evidence.variants import result_of
from pgolf.phrases import counted, signed, signed_percent
from pgolf.stats.comparison import format_p
from pgolf.tracks import Target

MOST_NAME_CHARS = 80
MOST_STEPS = 3  # of a variant that are named one by one
CHANCE = 0.9  # of showing it, that `runs_to_settle` is for


@dataclass(frozen=True)
class VariantRow:
    """The row of one variant; a text is empty where a figure is unknown or has no meaning.

    Attributes
    ----------
    runs : how many count, and of how many where some do not.
    steps : the last steps.
    step_gain : those of the baseline − steps.
    seconds, seconds_std : mean and sample standard deviation of the training clock.
    seconds_gain, share, seconds_p : the baseline's mean − this one, the same as a share, and p of the one-sided test.
    loss, loss_std : mean and sample standard deviation of the last validation loss.
    loss_gap, loss_p : target − mean, and p of the one-sided test.
    p_range : the p that the printed digits allow.
    """

    name: str
    baseline: bool
    runs: str
    steps: str
    step_gain: str
    seconds: str
    seconds_std: str
    seconds_gain: str
    share: str
    seconds_p: str
    loss: str
    loss_std: str
    loss_gap: str
    loss_p: str
    p_range: str


@dataclass(frozen=True)
class RunRow:
    """The row of one run: its log inside the variant's folder, last validation loss, its step and clock. `counts`: no
    figure of the variant leaves it out."""

    log: str
    loss: str
    step: str
    seconds: str
    counts: bool


def variant_rows(audit: TargetAudit) -> list[VariantRow]:
    """A row a variant, the baseline first; one of another folder is among them."""
    baseline, target = audit.baseline, target_of(audit)
    variants = [v for v in audit.variants if v.results or v.cut_short or v.variant.runs]
    if baseline is not None and not any(v is baseline for v in variants):
        variants = [baseline, *variants]
    variants.sort(key=lambda v: v is not baseline)
    return [_row(v, audit, target) for v in variants]


def target_of(audit: TargetAudit) -> Target:
    """The target of its track."""
    assert audit.track.target is not None  # audit_target takes no other track
    return audit.track.target


def _row(figures: VariantFigures, audit: TargetAudit, target: Target) -> VariantRow:
    baseline = audit.baseline
    loss, gain, digits = figures.loss, figures.gain, figures.decimals + 1
    mean, std, is_baseline = figures.mean_seconds, figures.std_seconds, figures is baseline
    return VariantRow(
        name=name_of(figures),
        baseline=is_baseline,
        runs=_counted(figures),
        steps=_steps(figures.steps),
        step_gain="" if is_baseline else _step_gain(figures, baseline),
        seconds="" if mean is None else f"{mean:.3f}",
        seconds_std="" if std is None else f"{std:.3f}",
        seconds_gain=signed(gain.difference, 3) if gain else "",
        share=signed_percent(gain.share) if gain and gain.share is not None else "",
        seconds_p=_p(gain.p) if gain else "",
        loss=f"{loss.mean:.{digits}f}" if loss else "",
        loss_std=f"{loss.std:.{digits}f}" if loss and loss.n > 1 else "",
        loss_gap=signed(target.loss - loss.mean, digits) if loss else "",
        loss_p=_p(loss.p) if loss else "",
        p_range=_p_range(loss.p_range) if loss and loss.p_range else "",
    )


def columns(audit: TargetAudit) -> list[tuple[str, str]]:
    """(heading, field of a VariantRow) of each column after the name, where one table has them all."""
    target, beside = target_of(audit), audit.baseline is not None
    losses = [("mean loss", "loss"), ("std", "loss_std"), (f"below {target.loss:g}", "loss_gap")]
    losses += [(f"p below {target.loss:g}", "loss_p")]
    seconds = [("mean training, s", "seconds"), ("std", "seconds_std")]
    if target.least == "steps":
        difference = [("gain", "step_gain")] if beside else []
        return [("runs", "runs"), ("steps", "steps"), *difference, *losses, *seconds]
    gain = [("gain", "seconds_gain"), ("p faster", "seconds_p")] if beside else []
    return [("runs", "runs"), ("steps", "steps"), *seconds, *gain, *losses]


def news_of(audit: TargetAudit) -> Iterator[str]:
    """Each variant that is no baseline in a line of a message: its seconds, its loss, and what both are tested for."""
    for row in variant_rows(audit):
        if row.baseline:
            continue
        words = [f"{row.seconds} s"] if row.seconds else []
        words += [f"gain over the baseline {row.seconds_gain} s (p faster {row.seconds_p})"] if row.seconds_gain else []
        words += [f"mean val_loss {row.loss}"] if row.loss else []
        words += [f"p below {target_of(audit).loss:g}: {row.loss_p}"] if row.loss_p else []
        yield f"{row.name}: {', '.join(words) or 'no result'}"


def name_of(figures: VariantFigures) -> str:
    """How a table names a variant, as the checks do."""
    return printable(figures.name, MOST_NAME_CHARS)


def _counted(figures: VariantFigures) -> str:
    counted, there = len(figures.results), len(figures.results) + len(figures.cut_short)
    return f"{counted}" if counted == there else f"{counted} of {there}"


def _steps(steps: Sequence[int]) -> str:
    if len(steps) > MOST_STEPS:
        return f"{steps[0]}-{steps[-1]}"
    return ", ".join(map(str, steps))


def _step_gain(figures: VariantFigures, baseline: VariantFigures | None) -> str:
    if baseline is None or len(figures.steps) != 1 or len(baseline.steps) != 1:
        return ""
    return signed(baseline.steps[0] - figures.steps[0], 0)


def _p(p: float | None) -> str:
    return "" if p is None else format_p(p)


def _p_range(p_range: tuple[float, float]) -> str:
    low, high = map(format_p, p_range)
    return low if low == high else f"{low} to {high}"


def run_rows(audit: TargetAudit, figures: VariantFigures) -> list[RunRow]:
    """A row a run of a variant, in the order of its logs."""
    rows, cut_short = [], {id(run) for run in figures.cut_short}
    for run in figures.variant.runs:
        result, name = result_of(run), audit.found.name_of(run)
        inside = name.removeprefix(f"{figures.variant.name}/") if figures.variant.name else name
        rows.append(
            RunRow(
                log=printable(inside, 4 * MOST_NAME_CHARS),
                loss=f"{result.loss:.{result.decimals}f}" if result else "",
                step=_step(result.step, result.planned) if result else "",
                seconds="" if result is None or result.seconds is None else f"{result.seconds:.3f}",
                counts=id(run) not in cut_short,
            )
        )
    return rows


def _step(step: int, planned: int | None) -> str:
    return str(step) if planned in (None, step) else f"{step} of {planned}"


def remarks(audit: TargetAudit) -> Iterator[str]:
    """Sentences that the tables have no room for: what rounding allows p to be, how large a gain may be, and how many
    runs it would take to settle what is undecided."""
    target = target_of(audit)
    for row in variant_rows(audit):
        if row.loss_p or row.p_range:
            allowed = f" (printed digits: {row.p_range})" if row.p_range else ""
            found = row.loss_p or "unknown, for all losses are equal"
            yield f"{row.name}: p against {target.loss:g} is {found}{allowed}"
    for figures in audit.variants:
        name, gain = name_of(figures), figures.gain
        if gain and gain.ci95 and audit.baseline:
            low, high = (signed(x, 3) for x in gain.ci95)
            share = "" if gain.share is None else f" ({signed_percent(gain.share)})"
            beside = name_of(audit.baseline)
            yield f"{name}: gain over {beside} {signed(gain.difference, 3)} s{share}, 95 % interval {low} to {high} s"
    for figures in audit.variants:
        if sentence := _to_settle(figures, target):
            yield f"{name_of(figures)}: {sentence}"


def _to_settle(figures: VariantFigures, target: Target) -> str:
    loss, needed = figures.loss, figures.runs_to_settle
    if needed is None or loss is None or loss.p is None or loss.p < target.alpha:
        return ""
    return (
        f"{counted(needed, 'run')} would show a mean below {target.loss:g} at p < {target.alpha:g} with a chance of "
        f"{CHANCE:.0%}, if mean and spread stay; it has {loss.n}"
    )


def not_applying(audit: TargetAudit) -> str:
    """One line that names the checks which do not apply to such a track; '' where all do."""
    names = [c.id for c in audit.checks if c.status == "does not apply"]
    return f"does not apply here: {', '.join(names)}" if names else ""
