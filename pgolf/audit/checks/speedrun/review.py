"""The things that the checks of a speedrun look at: a folder's variants, the track's target, and the baseline."""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from pgolf.audit.checks.review import Findings
from pgolf.errors import BadInput
from pgolf.evidence.run import Run
from pgolf.evidence.variants import Result, Variant, Variants, result_of
from pgolf.stats.target import TargetTest, TimeGain, target_test, time_gain
from pgolf.tracks import Target, Track

MOST_LISTED = 20
NEAR = 0.9  # of the usual last step: as far as runs go that a clock or the target stops
MOST_LOSS, MOST_SECONDS = 1e3, 1e9  # more is an error of the log


@dataclass(frozen=True)
class VariantFigures:
    """The figures of one variant, from its logs.

    Attributes
    ----------
    variant : its runs.
    results : of the runs that count: those that went as far as the variant does, in the order of their logs. Where
        none made its planned steps, and so each may have stopped by a clock or at the target, also those that went
        nearly as far.
    cut_short : the runs that do not count: without a finite validation loss, or ended before the others and before
        their planned step.
    steps : the distinct last steps of `results`, ascending.
    loss : the last losses against the track's target; None without results.
    seconds : the training clock of each result that gives it.
    gain : seconds against the baseline's; None without a baseline, for the baseline itself, or without clocks.
    runs_to_settle : how many runs would show that the mean is below the target, if mean and spread stay; None where
        that is shown already, the mean is not below the target, or nothing is known of the spread.
    """

    variant: Variant
    results: tuple[Result, ...]
    cut_short: tuple[Run, ...]
    steps: tuple[int, ...]
    loss: TargetTest | None
    seconds: tuple[float, ...]
    gain: TimeGain | None = None
    runs_to_settle: int | None = None

    @property
    def name(self) -> str:
        """How a sentence names the variant: by its sub-folder; of the folder itself, 'the record'."""
        return self.variant.name or "the record"

    @property
    def mean_seconds(self) -> float | None:
        """Mean of `seconds`; None without any."""
        return math.fsum(self.seconds) / len(self.seconds) if self.seconds else None

    @property
    def std_seconds(self) -> float | None:
        """Sample standard deviation of `seconds` (n − 1); None of fewer than two."""
        return statistics.stdev(self.seconds) if len(self.seconds) > 1 else None

    @property
    def decimals(self) -> int:
        """Digits that the logs print of every loss that counts."""
        return min((r.decimals for r in self.results), default=0)


@dataclass(frozen=True)
class Speedrun:
    """A speedrun's folder as its checks see it. `no_baseline` says why there is none to compare times with."""

    found: Variants
    track: Track
    target: Target
    variants: tuple[VariantFigures, ...]
    baseline: VariantFigures | None
    no_baseline: str

    @property
    def new(self) -> list[VariantFigures]:
        """The variants that are not the baseline."""
        return [v for v in self.variants if v is not self.baseline and not v.variant.baseline]


SpeedrunCheck = Callable[[Speedrun, Findings], str]


def speedrun(found: Variants, track: Track, against: Variants | None = None) -> Speedrun:
    """Work out the figures of a folder's variants, beside its baseline or that of another folder.

    Raises
    ------
    BadInput : the track has no target, both folders have a baseline, or it is not plain which variant of `against` is.
    """
    target = track.target
    if target is None:
        raise BadInput(f"the track {track.name} has no target loss")
    figures = [figures_of(v, target) for v in found.variants]
    baseline = next((f for f in figures if f.variant is found.baseline), None)
    if against is not None:
        if baseline:
            raise BadInput(f"{found.path} has a baseline of its own, {baseline.name}: leave --against out")
        baseline = figures_of(replace(only_variant(against), baseline=True), target)
    figures = [f if f.variant.baseline else _beside(f, baseline, target) for f in figures]
    no_baseline = "" if baseline else "the folder has no baseline: no runs of the standing record on the same machine"
    return Speedrun(found, track, target, tuple(figures), baseline, no_baseline)


def only_variant(against: Variants) -> Variant:
    """The variant of another folder that is compared with, under that folder's name: the one that is no baseline, or
    the only one. BadInput if it is not plain which."""
    having = [v for v in against.variants if v.runs]
    new = [v for v in having if not v.baseline] or having
    if not new:
        raise BadInput(f"{against.path}: no run to compare with")
    if len(new) > 1:
        names = ", ".join(v.name or "." for v in new)
        raise BadInput(f"{against.path} has several variants ({names}): name one of these folders")
    return replace(new[0], name="/".join(filter(None, (against.path.resolve().name, new[0].name))))


def figures_of(variant: Variant, target: Target) -> VariantFigures:
    """The figures of one variant, without a comparison of times."""
    reached = [(run, result_of(run)) for run in variant.runs]
    numbers = [(run, r) for run, r in reached if r and sane(r.loss)]
    least = _least_step([r for _, r in numbers])
    whole = [(run, r) for run, r in numbers if r.step >= least or _as_planned(r)]
    results = tuple(r for _, r in whole)
    kept = {id(run) for run, _ in whole}
    return VariantFigures(
        variant=variant,
        results=results,
        cut_short=tuple(run for run in variant.runs if id(run) not in kept),
        steps=tuple(sorted({r.step for r in results})),
        loss=_loss(results, target),
        seconds=tuple(r.seconds for r in results if r.seconds is not None and 0 <= r.seconds <= MOST_SECONDS),
    )


def sane(loss: float) -> bool:
    """Whether a number can be a loss in nats per token at all."""
    return abs(loss) <= MOST_LOSS


def _least_step(results: Sequence[Result]) -> float:
    """The last step that a run has to reach to count: that of most runs, of several such steps the largest; less where
    no run made its planned steps."""
    counts = Counter(r.step for r in results)
    usual = max(counts, key=lambda step: (counts[step], step), default=0)
    return usual if any(map(_as_planned, results)) else NEAR * usual


def _as_planned(result: Result) -> bool:
    """Whether a run went to the step that it planned."""
    return result.planned is not None and result.step >= result.planned


def _loss(results: Sequence[Result], target: Target) -> TargetTest | None:
    if not results:
        return None
    return target_test([r.loss for r in results], target.loss, min(r.decimals for r in results))


def _beside(figures: VariantFigures, baseline: VariantFigures | None, target: Target) -> VariantFigures:
    """The figures with the comparison of times, and the runs that would settle whether the mean is below the target."""
    gain = time_gain(figures.seconds, baseline.seconds) if baseline and baseline.seconds and figures.seconds else None
    settle = figures.loss.runs_to_settle(target.alpha) if figures.loss else None
    return replace(figures, gain=gain, runs_to_settle=settle)


def listed(words: Iterable[str]) -> str:
    """Words with commas between, the first twenty.

    >>> listed("abc")
    'a, b, c'
    """
    said = list(words)
    more = [f"and {len(said) - MOST_LISTED} more"] if len(said) > MOST_LISTED else []
    return ", ".join(said[:MOST_LISTED] + more)
