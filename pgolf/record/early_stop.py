"""Whether a running seed can still count. One that cannot is ended, which saves its pod's money, and never replaced.

Two rules, each named in the plan before the first run: `limits`, a hard limit that is missed or, as the seed goes on,
going to be; and `loss`, a training loss that is hopeless beside the standing record's at the same step. What is
decided is written into the attempt's folder before the run is ended: whoever comes next knows that it was no accident.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean

import numpy as np
from pydantic import TypeAdapter, ValidationError

from pgolf.evidence.lines import printable
from pgolf.evidence.plan import Rule
from pgolf.files import write_json
from pgolf.ledger import StandingRecord
from pgolf.ledger.choosing import SAME_TOKENS, losses_at
from pgolf.pace import projected_end
from pgolf.pods.local import read_part
from pgolf.record.progress import Progress
from pgolf.tracks import EarlyStop, Limits

DECISION = "ended_early.json"
DECISION_MOST, SHOWN = 64 << 10, 1000  # bytes of that file, characters of its reason
SAME_KNOBS = ("train_batch_tokens", "train_seq_len")  # that losses at a step compare by
POINTS = 3  # logged losses that are averaged at a checkpoint: one alone is mostly its batch


@dataclass(frozen=True)
class Decision:
    """The decision to end a seed: by which rule, why, at which step, when (ISO 8601)."""

    rule: Rule
    reason: str
    step: int | None
    decided: str


@dataclass(frozen=True)
class Judge:
    """The rules that a record's seeds are held to. `capped`: the trainer's own clock ends training within the limit."""

    rules: tuple[Rule, ...]
    limits: Limits
    policy: EarlyStop
    capped: bool = True
    standing: StandingRecord | None = None

    def __call__(self, progress: Progress) -> Decision | None:
        """The decision about a seed: None lets it go on."""
        finders = {"limits": self._limits, "loss": self._losses}
        for rule in self.rules:
            for reason in finders[rule](progress):
                return Decision(rule, reason, progress.step, datetime.now(UTC).isoformat(timespec="seconds"))
        return None

    def _limits(self, p: Progress) -> Iterator[str]:
        for _, reason in self.limits_missed(p):
            yield reason

    def limits_missed(self, p: Progress) -> Iterator[tuple[str, str]]:
        """Each hard limit that a seed misses, or is bound to, and how; whatever `rules` say."""
        size, training, evaluation = p.measures(self.limits)
        if size.status == "fail":
            yield size.what, f"code and model are {size.value:,} bytes, over the limit of {size.limit:,}"
        for measure, end in (
            (training, None if self.capped else training_end(p, self.policy)),
            (evaluation, evaluation_end(p, self.policy)),
        ):
            # a projection has to be further over: it errs
            to_come = replace(measure, value=end, limit=measure.limit * (1 + self.policy.over_share))
            if measure.status == "fail":
                said = f"has taken {measure.value:,.1f} s, over the limit of {measure.limit:g} s"
                yield measure.what, f"{measure.what} {said}"
            elif to_come.status == "fail":
                yield (
                    measure.what,
                    f"{measure.what} is going to take about {end:,.0f} s, over the limit of {measure.limit:g} s "
                    f"({p.stage} {p.done:,} of {p.total:,} after {measure.value or 0.0:,.1f} s)",
                )

    def _losses(self, p: Progress) -> Iterator[str]:
        """Hopeless is what is worse at the same step and, where that is known, at the same second of training."""
        if self.standing is None:
            return
        steps = min((s.steps for s in self.standing.seeds if s.steps), default=0)
        for share, margin in self.policy.hopeless:
            reached = next((i for i, (step, _, _) in enumerate(p.curve) if step >= share * steps), None)
            if reached is None or not steps:
                return
            seen = p.curve[max(0, reached + 1 - POINTS) : reached + 1]
            theirs = [t for step, _, seconds in seen if (t := self._theirs(step, seconds)) is not None]
            here, there = mean(loss for _, loss, _ in seen), mean(theirs) if len(theirs) == len(seen) else None
            if there is not None and here > there + margin:
                yield (
                    f"train_loss {here:.4f} (mean of the {len(seen)} logged up to step {seen[-1][0]:,}) is more than "
                    f"{margin:g} nats worse than {there:.4f}, quantile {self.policy.quantile:g} of the seeds of "
                    f"{self.standing.name} there"
                )

    def _theirs(self, step: int, seconds: float) -> float | None:
        """The standing record's loss to be held against: the worse of those at this step and at this second."""
        assert self.standing
        at_step, at_second = losses_at(self.standing, step), losses_at(self.standing, seconds, seconds=True)
        if at_step is None:
            return None
        return max(float(np.quantile(losses, self.policy.quantile)) for losses in (at_step, at_second) if losses)


def training_end(p: Progress, policy: EarlyStop) -> float | None:
    """Seconds that all steps will have taken, at the pace of the last half of those that were logged; None while that
    is too early to say. A trainer's layer loops only make later steps slower.

    Most public programs plan more steps than their own clock lets them take: of a log alone, nothing is said unless the
    program's clock is known, and no more than it allows."""
    if p.stage != "train" or len(p.curve) < 3 or p.curve[-1][0] < policy.after_share * p.total:
        return None
    half, last = p.curve[len(p.curve) // 2 - 1], p.curve[-1]
    end = projected_end((half[2], half[0]), (last[2], last[0]), p.total)
    if p.by_events or end is None or p.clock == 0:
        return end
    return None if p.clock is None else min(end, p.clock)


def evaluation_end(p: Progress, policy: EarlyStop) -> float | None:
    """Seconds that the passes over the artifact will have taken when the running one is done; None while that is too
    early to say. Passes that have not begun are not in it."""
    if not p.scoring or p.stage not in p.first:
        return None
    first = p.first[p.stage]
    if p.done - first[1] < policy.after_share * p.total:
        return None
    end = projected_end(first, (p.heard, p.done), p.total)
    return None if end is None else sum(p.passes.values()) + end - first[0]


def incomparable(
    standing: StandingRecord | None, knobs: Mapping[str, str | None], bytes_per_token: float
) -> str | None:
    """Why losses at a step say nothing beside the standing record's; None where they compare.

    `knobs` has the program's train_batch_tokens and train_seq_len as text; one that is missing or None is unknown.
    """
    if standing is None:
        return "the standing record is measured with this one"
    theirs = standing.bytes_per_token
    if theirs is None or abs(bytes_per_token / theirs - 1) > SAME_TOKENS:
        return f"tokens of {standing.name} are of another length"
    for knob in SAME_KNOBS:
        ours = knobs.get(knob)
        if ours is None:
            return f"the program's {knob} is unknown"
        if standing.hyperparameters.get(knob) != ours:
            return f"{standing.name} had another {knob}"
    if not all(seed.curve and seed.steps for seed in standing.seeds):
        return f"the ledger has no curves of {standing.name}"
    return None


def write_decision(attempt: Path, decision: Decision) -> None:
    """Keep a decision in an attempt's folder; before the run is ended."""
    write_json(attempt / DECISION, asdict(decision))


def read_decision(attempt: Path) -> Decision | None:
    """The decision about an attempt; None if there is none, or none that can be used: programs write there, too."""
    try:
        decision = TypeAdapter(Decision).validate_json(read_part(attempt / DECISION, 0, DECISION_MOST))
    except ValidationError:
        return None
    return replace(decision, reason=printable(decision.reason, SHOWN), decided=printable(decision.decided))
