"""Compare a record with the standing one: every knob of both dumps, and the score at every stage.

The stage table shows where a gain comes from: a score that is better before adaptation was not won by adaptation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pgolf.evidence.run import OF_THE_RUN
from pgolf.ledger import SeedScore
from pgolf.stages import LABELS, LEARNING, OF_THE_ARTIFACT


@dataclass(frozen=True)
class KnobDifference:
    """A knob whose value differs; None where a dump does not have it."""

    knob: str
    old: str | None
    new: str | None

    @property
    def kind(self) -> Literal["changed", "only here", "only there"]:
        if self.old is None:
            return "only here"
        return "only there" if self.new is None else "changed"


def knob_differences(new: Mapping[str, str], old: Mapping[str, str]) -> list[KnobDifference]:
    """All knobs in which two dumps differ, changed ones first.

    Examples
    --------
    >>> knob_differences({"ttt_epochs": "4", "ln_scale": "1"}, {"ttt_epochs": "3", "ln_scale": "True"})
    [KnobDifference(knob='ttt_epochs', old='3', new='4')]
    """
    knobs = sorted((new.keys() | old.keys()) - OF_THE_RUN)
    deltas = [KnobDifference(k, old.get(k), new.get(k)) for k in knobs if not same_value(new.get(k), old.get(k))]
    return sorted(deltas, key=lambda d: ("changed", "only here", "only there").index(d.kind))


def same_value(a: str | None, b: str | None) -> bool:
    """Whether two printed values are one: 1e-8 and 1e-08, 600 and 600.0, True and 1.

    Examples
    --------
    >>> same_value("600", "600.0"), same_value("True", "1"), same_value("brotli", "lzma"), same_value(None, "0")
    (True, True, False, False)
    """
    if a is None or b is None:
        return a == b
    return _canonical(a) == _canonical(b)


def _canonical(text: str) -> float | str:
    word = text.strip().lower()
    try:
        return float({"true": "1", "false": "0"}.get(word, word))
    except ValueError:
        return text.strip()


@dataclass(frozen=True)
class StageDifference:
    """One stage of both records: the seeds' bpb on each side; an empty side did not score this stage."""

    kind: str
    label: str
    old: tuple[float, ...]
    new: tuple[float, ...]

    @property
    def old_mean(self) -> float | None:
        return sum(self.old) / len(self.old) if self.old else None

    @property
    def new_mean(self) -> float | None:
        return sum(self.new) / len(self.new) if self.new else None

    @property
    def gain(self) -> float | None:
        """Previous mean − new mean in bpb."""
        old, new = self.old_mean, self.new_mean
        return None if old is None or new is None else old - new


def stage_differences(new: Sequence[SeedScore], old: Sequence[SeedScore]) -> list[StageDifference]:
    """The stages that either record scored, in the order of the pipeline, each over all its seeds."""
    ours, theirs = [_by_kind(s) for s in new], [_by_kind(s) for s in old]
    rows = [
        StageDifference(kind, label, _all(kind, theirs), _all(kind, ours))
        for kind, label in {**LABELS, "other": "other"}.items()
    ]
    return [r for r in rows if r.old or r.new]


def _by_kind(score: SeedScore) -> dict[str, float]:
    return {s.kind: s.val_bpb for s in score.stages}  # the last of a kind is the one that counts


def _all(kind: str, scores: Sequence[Mapping[str, float]]) -> tuple[float, ...]:
    """One value a seed, or none at all: a mean over fewer seeds would not compare."""
    return tuple(s[kind] for s in scores) if scores and all(kind in s for s in scores) else ()


def before_adaptation(stages: Sequence[StageDifference]) -> StageDifference | None:
    """The last stage before adaptation that both records scored from the artifact, if the final one is adapted."""
    if not any(s.kind in LEARNING for s in stages if s.gain is not None):
        return None
    rows = [s for s in stages if s.gain is not None and s.kind in OF_THE_ARTIFACT - LEARNING]
    return rows[-1] if rows else None
