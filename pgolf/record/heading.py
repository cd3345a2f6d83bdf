"""What a running seed is heading for: an estimate of its final score, and the sentence that says what it rests on."""

from dataclasses import dataclass
from itertools import islice
from statistics import mean

from pgolf.evidence.run import stage_kind
from pgolf.ledger import StandingRecord
from pgolf.ledger.choosing import losses_at
from pgolf.record.progress import Progress
from pgolf.record.rows import Scored
from pgolf.stages import LABELS
from pgolf.stats.sample import LN2

POINTS = 20  # last logged losses that are averaged: one alone is mostly its batch
FEWEST = 3
AFTER = 0.2  # share of the standing record's steps before which a loss says nothing of the end


@dataclass(frozen=True)
class Heading:
    """An estimate: the standing record's final score, moved by the gain over it so far."""

    val_bpb: float
    basis: str


def heading_of(p: Progress, standing: StandingRecord | None, losses_compare: bool) -> Heading | None:
    """An estimate of a seed's final score; None where nothing supports one, or where it has the score already.

    By the latest stage that both have, if the standing record went on from there. Else, if training losses at the same
    step compare, by their mean gain over the last logged steps.
    """
    if standing is None or p.stage == "done":
        return None
    final = mean(seed.val_bpb for seed in standing.seeds) if standing.seeds else None
    if final is None:
        return None
    if p.scores:
        last = scored(*list(p.scores.items())[-1], standing)
        if last.gain is None or abs(final - last.gain - last.val_bpb) < 1e-9:
            return None
        return Heading(final - last.gain, f"{standing.name}'s {final:.5f}, if the gain at this stage stays")
    gain = loss_gain(p, standing) if losses_compare else None
    if gain is None or not standing.bytes_per_token:
        return None
    basis = f"{standing.name}'s {final:.5f}, if the gain in training loss stays"
    return Heading(final - gain / (LN2 * standing.bytes_per_token), basis)


def scored(stage: str, val_bpb: float, standing: StandingRecord | None) -> Scored:
    """A stage's score beside the standing record's mean of the same kind."""
    theirs = standing_score(standing, stage) if standing else None
    return Scored(label_of(stage), val_bpb, None if theirs is None else theirs - val_bpb)


def standing_score(standing: StandingRecord, stage: str) -> float | None:
    """The mean of the standing record's seeds after a stage of this kind; None unless each of them has one."""
    kind = stage_kind(stage)
    found = [next((s.val_bpb for s in reversed(seed.stages) if s.kind == kind), None) for seed in standing.seeds]
    known = [value for value in found if value is not None]
    return mean(known) if known and len(known) == len(found) and kind != "other" else None


def label_of(stage: str) -> str:
    """How a stage is called for people."""
    kind = stage_kind(stage)
    return LABELS.get(kind, stage) if kind != "other" else stage


def loss_gain(p: Progress, standing: StandingRecord) -> float | None:
    """Mean gain of the last logged training losses over the standing record's at the same steps, in nats per token;
    None while that is too early to say, or beyond its last step."""
    steps = min((seed.steps or 0 for seed in standing.seeds), default=0)
    curve = p.curve
    if not curve or not steps or curve[-1][0] < AFTER * steps:
        return None
    gains = []
    for step, loss, _ in islice(reversed(curve), POINTS):
        if step < AFTER * steps or (theirs := losses_at(standing, step)) is None:
            break
        gains.append(mean(theirs) - loss)
    return mean(gains) if len(gains) >= FEWEST else None
