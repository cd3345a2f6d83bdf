"""The facts that a submission's statements of compliance are made from, and what a statement is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pgolf.audit.differences import StageDifference
from pgolf.audit.measures import Measure, artifact_size, worst
from pgolf.evidence.plan import Attempt, Plan
from pgolf.evidence.probes import Probed
from pgolf.evidence.run import Evidence, Run
from pgolf.ledger import StandingRecord
from pgolf.program import Program
from pgolf.report.knobs import KnobTable
from pgolf.stats.comparison import Comparison
from pgolf.tracks import Track


@dataclass(frozen=True)
class Statement:
    """A sentence, whether it holds (None: unknown), and the lines it rests on."""

    text: str
    holds: bool | None
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Facts:
    """The facts that the statements are made from.

    `counted` is the size as pgolf counts the files, where the logs' figures are not its own; `dataset` the manifest of
    what was scored.
    """

    track: Track
    runs: Sequence[Run]
    standing: StandingRecord | None
    comparison: Comparison | None
    plans: Sequence[Plan]
    attempts: Sequence[Attempt]
    knobs: KnobTable
    stages: Sequence[StageDifference]
    program: Program
    counted: Measure | None = None
    dataset: Mapping[str, Any] = field(default_factory=dict)
    probed: Probed | None = None
    claimed: bool = True  # whether a record is claimed
    alike: Sequence[str] = ()  # other records of the same program, text and rules

    @property
    def sizes(self) -> list[Measure]:
        """Code and model as the logs give them, and as pgolf counts them; the larger one decides."""
        return [worst(artifact_size, self.runs, self.track.limits), *([self.counted] if self.counted else [])]

    @property
    def size(self) -> Measure:
        """The larger of `sizes` that is known."""
        return max(self.sizes, key=lambda m: m.value or 0.0)
