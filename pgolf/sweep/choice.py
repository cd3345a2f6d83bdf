"""Choose the winning candidate, and say what may be claimed of it after choosing.

The lowest of many scores on one split is low partly by luck, so it is not a result: the winner is run again on seeds
named before the sweep began, and those scores are reported. The sweep's own score is tested against the standing
record, with a correction for the number of tries.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pgolf.audit.measures import Measure
from pgolf.errors import RunFailed
from pgolf.stats.sample import Sample
from pgolf.stats.student import t_cdf
from pgolf.sweep.trials import Trial
from pgolf.tracks import Limits


@dataclass(frozen=True)
class Bounds:
    """The bounds of a candidate: the track's limits less the margins asked for, without a grace. Seconds, bytes."""

    eval_seconds: float
    artifact_bytes: int

    def misses(self, trial: Trial) -> str | None:
        """Why a trial does not count, or None."""
        if trial.state != "scored" or trial.val_bpb is None:
            return trial.reason or trial.state
        evaluation = Measure("evaluation", "s", self.eval_seconds, trial.eval_seconds)
        size = Measure("code and model", "bytes", self.artifact_bytes, trial.artifact_bytes)
        if "unknown" in (evaluation.status, size.status):
            return "its log does not give its time and size"
        if evaluation.status == "fail":
            return f"{trial.eval_seconds:.1f} s of evaluation, {self.eval_seconds:g} allowed"
        if size.status == "fail":
            return f"{trial.artifact_bytes:,} bytes, {self.artifact_bytes:,} allowed"
        return None


def bounds(limits: Limits, time_margin: float, size_margin: int) -> Bounds:
    """The track's limits with so many seconds and bytes kept free."""
    return Bounds(limits.eval_seconds - time_margin, limits.artifact_bytes - size_margin)


@dataclass(frozen=True)
class Choice:
    """The winner of `tried` candidates (every one that was started, also those that were stopped or failed).

    `ranking` has those that fit, best first, then the others with the reason why they do not.
    """

    winner: Trial
    tried: int
    ranking: tuple[tuple[Trial, str | None], ...]


def choose(trials: Sequence[Trial], kept: Bounds) -> Choice:
    """The candidate with the lowest val_bpb that keeps the bounds; of equal ones the one with fewer changes.

    RunFailed if none does.
    """
    judged = [(trial, kept.misses(trial)) for trial in trials]
    judged.sort(key=lambda j: (j[1] is not None, j[0].val_bpb or math.inf, len(j[0].settings), j[0].candidate.label))
    if not judged:
        raise RunFailed("nothing has been tried")
    if (why := judged[0][1]) is not None:
        raise RunFailed(f"none of {len(judged)} candidates fits; {judged[0][0].candidate.label}: {why}")
    return Choice(judged[0][0], len(judged), tuple(judged))


@dataclass(frozen=True)
class Luck:
    """One-sided p of a single score being below a record's seeds, and after Bonferroni for the number of tries.

    H0: the winner is a further seed of the record: t = (mean − score) / (std · √(1 + 1/n)), n − 1 degrees of freedom.
    """

    record: str
    p: float
    tried: int

    @property
    def corrected(self) -> float:
        """p times the number of tries, at most 1: holds however the tries depend on one another."""
        return min(1.0, self.p * self.tried)


def luck(choice: Choice, standing: Sample) -> Luck | None:
    """Test the sweep's own score against the standing record; None if the record's seeds give no spread.

    Examples
    --------
    >>> from pgolf.stats.sample import parse_numbers
    >>> best = Trial({}, 1, "scored", "", val_bpb=1.0780)
    >>> found = luck(Choice(best, 12, ()), parse_numbers("1.0808,1.0810,1.0812"))
    >>> f"{found.p:.5f} {found.corrected:.5f}"
    '0.00294 0.03524'
    """
    if standing.n < 2 or not standing.std or choice.winner.val_bpb is None:
        return None
    t = (standing.mean - choice.winner.val_bpb) / (standing.std * math.sqrt(1 + 1 / standing.n))
    return Luck(standing.label, float(t_cdf(-t, standing.n - 1)), choice.tried)
