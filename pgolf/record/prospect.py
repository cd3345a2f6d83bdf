"""The record to beat with its score, and whether a preset's own score could beat it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pgolf import ledger, presets
from pgolf.ledger import StandingRecord
from pgolf.ledger.choosing import standing_record, to_beat
from pgolf.phrases import counted
from pgolf.record.request import Request
from pgolf.stats.sample import LN2


@dataclass(frozen=True)
class Prospect:
    """What a record has to beat.

    Attributes
    ----------
    name : of the record to beat.
    standing : that record; None: it is measured first, with `measured_with`.
    margin : by which a record has to be better, in bpb; None: nothing tells how long the standing record's tokens are.
    measured_with : the preset that measures it where the text here is not the ledger's.
    own : the score that the preset is known to reach; None: unknown.
    preset, non_record : of the request.
    """

    name: str
    standing: StandingRecord | None
    margin: float | None
    measured_with: str | None
    own: float | None
    preset: str
    non_record: bool

    @property
    def mean(self) -> float | None:
        """The score to beat, in bpb."""
        return self.standing.sample().mean if self.standing else None

    @property
    def bar(self) -> float | None:
        """The score that a record's mean has to be below, in bpb."""
        return None if self.mean is None or self.margin is None else self.mean - self.margin

    @property
    def warning(self) -> str | None:
        """One line for a record that its preset's own score rules out; None where that is not known, or is known to the
        user, who asks for a non-record submission."""
        most = self.bar if self.bar is not None else self.mean
        if self.non_record or most is None or self.own is None or self.own < most:
            return None
        return (
            f"preset {self.preset} is known to reach {self.own:.5f}, and a record over {self.name} ({self.mean:.5f}) "
            f"is below {most:.5f}: name another --preset, an older record with --against, or add --non-record"
        )

    def as_json(self) -> dict[str, Any]:
        """The same for scripts; unknown is null."""
        return {"against_bpb": self.mean, "bar_bpb": self.bar, "non_record": self.non_record, "warning": self.warning}

    def lines(self) -> Iterator[str]:
        """What is to be beaten, for people."""
        if self.standing is None:
            yield f"{self.name}: measured here first, with preset {self.measured_with}"
            return
        bar = "" if self.bar is None else f"; a record's mean is below {self.bar:.5f}"
        yield f"{self.name}: {self.mean:.5f} bpb, {counted(self.standing.sample().n, 'seed')}{bar}"
        if self.measured_with:
            yield f"on other text than its own it is measured here first, with preset {self.measured_with}"


def prospect_of(request: Request) -> Prospect:
    """What a requested record has to beat. BadInput where there is nothing to beat."""
    track = request.track
    standing = request.against or standing_record(track)
    per_token = standing.sample().bytes_per_token if standing else None
    return Prospect(
        name=request.against.name if request.against else to_beat(track),
        standing=standing,
        margin=track.policy.margin_nats / LN2 / per_token if per_token else None,
        measured_with=None if request.against else track.baseline_preset,
        own=_own_score(request),
        preset=request.preset,
        non_record=request.non_record,
    )


def _own_score(request: Request) -> float | None:
    """What the preset reaches as it is: by the ledger's entry of its name, else as it was published."""
    if request.theirs or request.overrides or request.preset not in presets.names():
        return None
    if request.preset in ledger.names():
        entry = ledger.load(request.preset)
        return entry.sample().mean if entry.track == request.track.name else None
    published = presets.published(request.preset)
    return published.val_bpb if published and published.track == request.track.name else None
