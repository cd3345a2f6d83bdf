"""What comes of a record or a sweep, and its file: `runs/<record-id>/end.json`, by which any terminal tells it."""

import math
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from pgolf.errors import BadInput, RunFailed
from pgolf.files import write_json
from pgolf.ledger import SeedScore
from pgolf.record.live import made_printable
from pgolf.report.runs_submission import RunsVerdict
from pgolf.report.verdict import Verdict
from pgolf.untrusted import Untrusted, read_json

END = "end.json"
MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class Outcome:
    """The outcome of a record: its folder, the verdict, and the submission (or the report that says why not)."""

    record_id: str
    folder: Path
    scores: tuple[SeedScore, ...]
    verdict: Verdict
    path: Path

    def as_json(self) -> dict[str, Any]:
        """The content that `pgolf record --json` prints; unknown is null."""
        comparison = self.verdict.comparison
        return {
            "record_id": self.record_id,
            "positive": self.verdict.positive,
            "non_record": self.verdict.non_record,
            "unfit": list(self.verdict.unfit or ()),
            "reasons": list(self.verdict.reasons),
            "warnings": self.verdict.warnings,
            "path": str(self.path),
            "folder": str(self.folder),
            "seeds": [asdict(score) for score in self.scores],
            "comparison": comparison.as_json() if comparison else None,
        }


@dataclass(frozen=True)
class RunsOutcome:
    """The outcome of a speedrun's record: its folder, the verdict, and the submission (or the report that says why
    not)."""

    record_id: str
    folder: Path
    verdict: RunsVerdict
    path: Path

    def as_json(self) -> dict[str, Any]:
        """The content that `pgolf record --json` prints."""
        return {
            "record_id": self.record_id,
            "positive": self.verdict.positive,
            "reasons": list(self.verdict.reasons),
            "warnings": self.verdict.warnings,
            "path": str(self.path),
            "folder": str(self.folder),
            "audit": self.verdict.audit.as_json() if self.verdict.audit else None,
        }


@dataclass(frozen=True)
class SweepOutcome:
    """The outcome of a sweep or an ablation: its folder, the report with its table, and what came of it in a line."""

    kind: Literal["sweep", "ablation"]
    folder: Path
    report: Path
    said: str

    def as_json(self) -> dict[str, Any]:
        """The content that `pgolf watch --json` prints."""
        return asdict(self) | {"folder": str(self.folder), "report": str(self.report)}


AnyOutcome = Outcome | RunsOutcome | SweepOutcome


@dataclass(frozen=True)
class End:
    """How the work on a record or a sweep has ended: its outcome, or else the exit code and why there is none."""

    of_seeds: Outcome | None = None
    of_runs: RunsOutcome | None = None
    of_sweep: SweepOutcome | None = None
    exit_code: int = 0
    error: str = ""

    def outcome(self) -> AnyOutcome:
        """The outcome; BadInput or RunFailed where there is none."""
        if found := self.of_seeds or self.of_runs or self.of_sweep:
            return found
        raise (BadInput if self.exit_code == 2 else RunFailed)(self.error)


READER = TypeAdapter(End)


def end_with(outcome: AnyOutcome) -> End:
    """The end that has this outcome."""
    if isinstance(outcome, SweepOutcome):
        return End(of_sweep=outcome)
    if isinstance(outcome, Outcome):
        return End(outcome, exit_code=0 if outcome.verdict.submitted else 1)
    return End(of_runs=outcome, exit_code=0 if outcome.verdict.positive else 1)


def write_end(folder: Path, end: End) -> None:
    """Put a record's end into its folder."""
    write_json(folder / END, _with_infinities(READER.dump_python(end, mode="json")))


def _with_infinities(value: Any) -> Any:
    """A value fit for JSON: numbers that are not finite become words, which pydantic reads as these numbers."""
    if isinstance(value, dict):
        return {key: _with_infinities(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_with_infinities(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def read_end(folder: Path) -> End | None:
    """The end that a record's folder tells of; None: there is none.

    Raises
    ------
    BadInput : the file is not what pgolf wrote there.
    """
    if not os.path.lexists(folder / END):
        return None
    try:
        return _as_before(READER.validate_python(made_printable(read_json(folder / END, MOST_BYTES, folder))))
    except Untrusted as e:
        raise BadInput(str(e)) from None
    except ValidationError:
        raise BadInput(f"{folder / END}: not what pgolf writes; start the same command again") from None


def _as_before(end: End) -> End:
    """The end whose audit's baseline is one of its variants again, and not a copy of it."""
    audit = end.of_runs.verdict.audit if end.of_runs else None
    if end.of_runs is None or audit is None:
        return end
    baseline = next((variant for variant in audit.variants if variant == audit.baseline), audit.baseline)
    verdict = replace(end.of_runs.verdict, audit=replace(audit, baseline=baseline))
    return replace(end, of_runs=replace(end.of_runs, verdict=verdict))
