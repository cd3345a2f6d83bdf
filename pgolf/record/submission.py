"""From finished seeds to a verdict, and from a verdict to the folder that is submitted (or to a report).

Every sentence of the folder is made from a log line, a check or a hash; what is not known is said to be unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pgolf.record.ledger import Standing
from pgolf.record.plan import Attempt, Plan
from pgolf.record.stats import Comparison
from pgolf.tracks import Track


@dataclass(frozen=True)
class SeedRun:
    """One finished seed: its files, and every attempt that was made at it.

    `log` is the text log (stdout and stderr), `events` its JSON lines, `artifact` the compressed model.
    """

    seed: int
    log: Path
    events: Path
    artifact: Path
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True)
class RecordInputs:
    """Everything that a verdict and a submission are made from.

    Attributes
    ----------
    record_id, name, author, github_id, date : of the submission; `date` is YYYY-MM-DD.
    track, preset : what was run, and against which rules.
    plans : the plans of the record, in order; the last one is in force.
    runs : the finished seeds, in the plan's order.
    train_gpt : the packed trainer that all seeds ran.
    standing : the record to beat.
    summary : what is new, in a sentence.
    nproc : ranks of one seed run.
    environment : name to value of what else the reader has to set to run it again (`DATA_DIR`, …).
    prepare : the command that makes the data, if there is one.
    """

    record_id: str
    name: str
    author: str
    github_id: str
    date: str
    track: Track
    preset: str
    plans: tuple[Plan, ...]
    runs: tuple[SeedRun, ...]
    train_gpt: Path
    standing: Standing
    summary: str = ""
    nproc: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: str | None = None


@dataclass(frozen=True)
class Verdict:
    """Whether it is a record. `reasons` says why not, a sentence each; empty exactly when `positive`."""

    positive: bool
    comparison: Comparison | None
    reasons: tuple[str, ...]
