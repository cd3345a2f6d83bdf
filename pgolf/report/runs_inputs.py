"""The inputs of a speedrun's verdict and submission: the runs of both variants, in the plan's order, what they ran, and
every attempt that was made."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pgolf.evidence.plan import Attempt
from pgolf.program import Program
from pgolf.report.inputs import submission_name
from pgolf.tracks import Track

NEW, BASELINE = "this_pr", "baseline"  # the variants of a record, and the folders that their logs lie in
OWN_NAMES = re.compile(  # at the top of a submission: no file of a program may be called so
    rf"readme\.md|plan(?:-\d+)?\.json|curves\.png|report\.html|{NEW}|{BASELINE}", re.I
)


@dataclass(frozen=True)
class PlannedRun:
    """One run that the plan names.

    Attributes
    ----------
    number : its place in the plan's order, from 1.
    variant : NEW or BASELINE.
    log : the log of the attempt that finished; None: none has.
    attempts : every attempt at it; in each, `seed` is this number.
    machine : what it ran on, in words; '' where that is unknown.
    """

    number: int
    variant: str
    log: Path | None = None
    attempts: tuple[Attempt, ...] = ()
    machine: str = ""


@dataclass(frozen=True)
class RunsInputs:
    """Everything that a speedrun's verdict and submission are made from.

    Attributes
    ----------
    record_id, name, author, github_id, date : of the submission; `date` is YYYY-MM-DD.
    track : the rules, which have a target.
    plan : the content of the record's plan.json, without a path of this machine.
    created : when the plan was written, before the first run: ISO 8601 in UTC.
    runs : all runs of the plan, in its order.
    program : what the runs of the new variant ran.
    source : the folder that the program's files lie in, by their names.
    baseline : what the runs of the baseline ran.
    baseline_name : what the user calls the baseline, without a path of this machine: a record's folder, or a file.
    summary : what is new, in a sentence.
    nproc : ranks of one run.
    environment : name to value of what the reader has to set to run the program again: where the data is.
    reads : the names below `data/` that the program reads (none: any); None: it needs no such folder.
    prepare : the command that makes the data, if there is one.
    again : the command line that makes this record again, with both variants; '' where there is none.
    reasons : why it is no record, a sentence each; empty: it is one, or that has yet to be judged.
    """

    record_id: str
    name: str
    author: str
    github_id: str
    date: str
    track: Track
    plan: Mapping[str, Any]
    created: str
    runs: tuple[PlannedRun, ...]
    program: Program
    source: Path
    baseline: Program
    baseline_name: str
    summary: str = ""
    nproc: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    reads: tuple[str, ...] | None = None
    prepare: str | None = None
    again: str = ""
    reasons: tuple[str, ...] = ()

    @property
    def folder_name(self) -> str:
        """<date>_<name>, fit for a file system; BadInput where they make none."""
        return submission_name(self.date, self.name)

    @property
    def attempts(self) -> list[Attempt]:
        """All attempts at all runs."""
        return [a for run in self.runs for a in run.attempts]

    def of(self, variant: str) -> list[PlannedRun]:
        """The planned runs of a variant."""
        return [run for run in self.runs if run.variant == variant]

    def log_name(self, run: PlannedRun) -> str:
        """The name of a run's log in the submission: numbers are of the variant, and a missing one stands out."""
        return f"{run.variant}/run{self.of(run.variant).index(run) + 1:02}.txt"

    @property
    def in_turns(self) -> bool:
        """Whether no variant runs more than twice in a row, so that a drift of the machine falls on both."""
        order = [run.variant for run in self.runs]
        return all(len(set(three)) > 1 for three in zip(order, order[1:], order[2:], strict=False))

    def finished(self, variant: str) -> list[PlannedRun]:
        """Those of them that have a log."""
        return [run for run in self.of(variant) if run.log]

    def depends(self) -> dict[str, Any]:
        """All that a submission depends on, for JSON (paths as text); of the programs' files their hashes."""
        facts = asdict(self)
        facts["program"]["files"], facts["baseline"]["files"] = self.program.hashes, self.baseline.hashes
        return facts
