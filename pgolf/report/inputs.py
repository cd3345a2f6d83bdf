"""The inputs of a verdict and a submission: the finished seeds, the program that they ran, and the record to beat."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import date as Day
from pathlib import Path
from typing import Any

from pgolf.errors import BadInput
from pgolf.evidence.plan import Attempt, Plan
from pgolf.files import sha256_file
from pgolf.ledger import StandingRecord
from pgolf.program import Program
from pgolf.tracks import Track

OWN_FILES = re.compile(  # of a submission, which a program cannot have, too; some file systems know no case
    r"readme\.md|submission\.json|report\.html|plan(?:-\d+)?\.json|dataset\.json|probes\.jsonl|loss_curves\.png"
    r"|stages\.png|train_seed\d+\.(?:log|events\.jsonl)|events(?:_seed\d+)?\.jsonl",
    re.I,
)


@dataclass(frozen=True)
class SeedRun:
    """One finished seed: its files, and every attempt that was made at it.

    `log` is the file of the attempt that has its score, `events` its JSON lines, if its program writes them, and
    `artifact` the compressed model. `name` is that of the log in the submission, where it is not train_seed<seed>.log.
    Of a log that pgolf did not run, seed and artifact may be unknown.
    """

    seed: int | None
    log: Path
    events: Path | None
    artifact: Path | None
    attempts: tuple[Attempt, ...] = ()
    name: str = ""

    @property
    def log_name(self) -> str:
        """The name of its log in the submission."""
        return self.name or f"train_seed{self.seed}.log"


@dataclass(frozen=True)
class RecordInputs:
    """Everything that a verdict and a submission are made from.

    Attributes
    ----------
    record_id, name, author, github_id, date : of the submission; `date` is YYYY-MM-DD.
    track, preset : what was run, and against which rules.
    plans : the plans of the record, in order; the last one is in force. Empty for logs that pgolf did not run.
    runs : the finished seeds, in the plan's order.
    program : what all seeds ran.
    source : the folder that the program's files lie in, by their names.
    standing : the record to beat; None: none is known, or was named.
    summary : what is new, in a sentence.
    nproc : ranks of one seed run.
    environment : name to value of what the reader has to set, beside the seed, to run it again: where the data is, and
        what the user has set.
    prepare : the command that makes the data, if there is one.
    unfinished : the attempts at planned seeds that never finished.
    dataset : what was trained and scored on, as its manifest has it; empty where it is not known.
    probes : what the legality probes found, as `probing.run_probes` leaves it.
    alike : other records of the same program, text and rules beside this one, each with its seeds.
    stage : the evaluation that counts, by its name in the logs; '': the last one of each.
    non_record : what is no record is to be submitted as a non-record one, if it is fit for that.
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
    program: Program
    source: Path
    standing: StandingRecord | None
    summary: str = ""
    nproc: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: str | None = None
    unfinished: tuple[Attempt, ...] = ()
    dataset: Mapping[str, Any] = field(default_factory=dict)
    probes: Path | None = None
    non_record: bool = False
    alike: tuple[str, ...] = ()
    stage: str = ""

    @property
    def folder_name(self) -> str:
        """<date>_<name>, fit for a file system; BadInput where they make none."""
        return submission_name(self.date, self.name)

    @property
    def attempts(self) -> list[Attempt]:
        """All attempts at all seeds."""
        return [*(a for r in self.runs for a in r.attempts), *self.unfinished]

    def counted_bytes(self) -> dict[int | None, int]:
        """Bytes of each seed's artifact, where it is known, and of all of the program's files that count as code."""
        return {run.seed: run.artifact.stat().st_size + self.program.code_bytes for run in self.runs if run.artifact}

    def depends(self) -> dict[str, Any]:
        """All that a submission depends on, for JSON (paths as text); of the program's files and the probes' results
        their hashes."""
        facts = asdict(self)
        facts["probes"] = sha256_file(self.probes) if self.probes else None
        facts["program"]["files"] = self.program.hashes
        return facts


def submission_name(date: str, name: str) -> str:
    """<date>_<name>, fit for a file system; BadInput for a name without a word, or a date that is no YYYY-MM-DD."""
    check_day(date)
    return f"{date}_{folder_words(name)}"


def check_day(text: str) -> None:
    """BadInput for a text that is no day of the calendar, as YYYY-MM-DD."""
    with suppress(ValueError):
        if Day.fromisoformat(text).isoformat() == text:
            return
    raise BadInput(f"'{text}' is no date; write a day of the calendar as YYYY-MM-DD")


def folder_words(name: str) -> str:
    """A submission's name as its folder has it; BadInput where no word is left."""
    words = re.sub(r"[^A-Za-z0-9.+-]+", "_", name).strip("._-")[:100]
    if not words:
        raise BadInput(f"the name '{name}' makes no folder's name; write a word of letters or digits")
    return words


def check_names(program: Program, own: re.Pattern[str] = OWN_FILES) -> None:
    """Raise BadInput if a submission's folder has no place for one of the program's files under its own name."""
    for name in program.files:
        parts = name.split("/")
        if "\\" in name or "\0" in name or {"", ".", ".."} & set(parts):
            raise BadInput(f"the program's file {name!r} has no place in a submission: its path must be a plain one")
        if own.fullmatch(parts[0]):
            raise BadInput(f"the program's file {name!r} is called like a file of the submission: give it another name")
