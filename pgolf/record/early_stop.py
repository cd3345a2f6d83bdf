"""Whether a running seed can still count. One that cannot is ended, which saves its pod's money, and never replaced.

Two rules, each named in the plan before the first run: `limits`, a hard limit that is missed or, as the seed goes on,
going to be; and `loss`, a training loss that is hopeless beside the standing record's at the same step. What is
decided is written into the attempt's folder before the run is ended: whoever comes next knows that it was no accident.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean

import numpy as np

from pgolf.evidence.plan import Rule
from pgolf.files import write_json
from pgolf.ledger import StandingRecord
from pgolf.ledger.choosing import SAME_TOKENS, losses_at
from pgolf.record.progress import Progress
from pgolf.tracks import EarlyStop, Limits
from pgolf.trainer.config import Config

DECISION = "ended_early.json"
POINTS = 3  # logged losses that are averaged at a checkpoint: one alone is mostly its batch


@dataclass(frozen=True)
class Decision:
    """That a seed is ended: by which rule, why, at which step, when (ISO 8601)."""

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
        """What to do about a seed: None lets it go on."""
        finders = {"limits": self._limits, "loss": self._losses}
        for rule in self.rules:
            for reason in finders[rule](progress):
                return Decision(rule, reason, progress.step, datetime.now(UTC).isoformat(timespec="seconds"))
        return None

    def _limits(self, p: Progress) -> Iterator[str]:
        limits, policy = self.limits, self.policy
        if p.artifact_bytes is not None and p.artifact_bytes > limits.artifact_bytes:
            yield f"code and model are {p.artifact_bytes:,} bytes, over the limit of {limits.artifact_bytes:,}"
        for what, used, projected, allowed in (
            ("training", p.train_seconds, None if self.capped else training_to_come(p, policy), limits.train_seconds),
            ("evaluation", p.eval_seconds, evaluation_to_come(p, policy), limits.eval_seconds),
        ):
            if used is not None and used > allowed + limits.grace_seconds:
                yield f"{what} has taken {used:,.1f} s, over the limit of {allowed:g} s"
            elif projected is not None and projected > allowed * (1 + policy.over_share) + limits.grace_seconds:
                yield (
                    f"{what} is going to take about {projected:,.0f} s, over the limit of {allowed:g} s "
                    f"({p.stage} {p.done:,} of {p.total:,} after {used or 0.0:,.1f} s)"
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


def training_to_come(p: Progress, policy: EarlyStop) -> float | None:
    """Seconds that all of its steps will have taken, at the pace of the last half of those that were logged; None while
    that is too early to say. A trainer's layer loops only make later steps slower."""
    if p.stage != "train" or len(p.curve) < 3 or p.curve[-1][0] < policy.after_share * p.total:
        return None
    step, _, seconds = p.curve[-1]
    earlier, _, then = p.curve[len(p.curve) // 2 - 1]
    return seconds + (seconds - then) / (step - earlier) * (p.total - step)


def evaluation_to_come(p: Progress, policy: EarlyStop) -> float | None:
    """Seconds that the passes over the artifact will have taken when the running one is done; None while that is too
    early to say. Passes that have not begun are not in it."""
    if not p.scoring or p.stage not in p.first:
        return None
    then, before = p.first[p.stage]
    if p.done - before < policy.after_share * p.total:
        return None
    pace = (p.heard - then) / (p.done - before)
    return sum(p.passes.values()) + (p.heard - then) + pace * (p.total - p.done)


def incomparable(standing: StandingRecord | None, config: Config, bytes_per_token: float) -> str | None:
    """Why losses at a step say nothing beside the standing record's; None where they compare."""
    if standing is None:
        return "the standing record is measured with this one"
    theirs = standing.bytes_per_token
    if theirs is None or abs(bytes_per_token / theirs - 1) > SAME_TOKENS:
        return f"tokens of {standing.name} are of another length"
    for knob in ("train_batch_tokens", "train_seq_len"):
        if standing.hyperparameters.get(knob) != str(getattr(config, knob)):
            return f"{standing.name} had another {knob}"
    if not all(seed.curve and seed.steps for seed in standing.seeds):
        return f"the ledger has no curves of {standing.name}"
    return None


def write_decision(attempt: Path, decision: Decision) -> None:
    """Keep a decision in an attempt's folder; before the run is ended."""
    write_json(attempt / DECISION, asdict(decision))


def read_decision(attempt: Path) -> Decision | None:
    """What was decided about an attempt; None if nothing was."""
    path = attempt / DECISION
    content: Mapping[str, object] = json.loads(path.read_text()) if path.exists() else {}
    return Decision(**content) if content else None  # type: ignore[arg-type]
