"""From a record's seeds to all that is to be said of them (`Draft`), and whether it is a record (`Verdict`).

Every sentence of it is made from a log line, a check or a hash, and what is not known is said to be unknown.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pgolf.audit.checks import Check
from pgolf.audit.differences import (
    KnobDifference,
    StageDifference,
    before_adaptation,
    knob_differences,
    stage_differences,
)
from pgolf.audit.measures import Measure, worst_measures
from pgolf.errors import BadInput
from pgolf.evidence.entry import read_entry
from pgolf.evidence.plan import Attempt, Plan
from pgolf.evidence.probes import Probed, read_probes
from pgolf.evidence.run import Run
from pgolf.files import sha256_file
from pgolf.ledger import SeedScore, StandingRecord, from_runs, spreads, val_bytes, value
from pgolf.report import compliance
from pgolf.report.compliance import Facts, Statement
from pgolf.report.page import hardware_of
from pgolf.requirements import packages_of
from pgolf.stages import LABELS
from pgolf.stats.comparison import Comparison, compare
from pgolf.tracks import Track

PROGRAM = "train_gpt.py"


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
    unfinished : the attempts at planned seeds that never finished.
    dataset : what was trained and scored on, as its manifest has it; empty where it is not known.
    probes : what the legality probes found, as `probing.run_probes` leaves it.
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
    standing: StandingRecord
    summary: str = ""
    nproc: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: str | None = None
    unfinished: tuple[Attempt, ...] = ()
    dataset: Mapping[str, Any] = field(default_factory=dict)
    probes: Path | None = None

    @property
    def folder_name(self) -> str:
        """<date>_<name>, fit for a file system."""
        words = re.sub(r"[^A-Za-z0-9.+-]+", "_", self.name).strip("._-")[:100]
        if not words or not re.fullmatch(r"\d{4}-\d\d-\d\d", self.date):
            raise BadInput(
                f"name '{self.name}' and date '{self.date}' make no folder name; write a word and YYYY-MM-DD"
            )
        return f"{self.date}_{words}"

    @property
    def attempts(self) -> list[Attempt]:
        """All attempts at all seeds."""
        return [*(a for r in self.runs for a in r.attempts), *self.unfinished]


@dataclass(frozen=True)
class Verdict:
    """Whether it is a record. `reasons` says why not, a sentence each; empty exactly when `positive`."""

    positive: bool
    comparison: Comparison | None
    checks: tuple[Check, ...]
    reasons: tuple[str, ...]

    @property
    def warnings(self) -> list[str]:
        """The checks that warn, a sentence each: a time inside the grace, for one. They stop no record."""
        return [f"{c.id}: {c.message}" for c in self.checks if c.status == "warn"]


@dataclass(frozen=True)
class Draft:
    """All that the templates print. `no_comparison` says why there is none."""

    inputs: RecordInputs
    runs: list[Run]
    scores: list[SeedScore]
    mean: float
    std: float
    comparison: Comparison | None
    no_comparison: str
    knobs: list[KnobDifference]
    stages: list[StageDifference]
    unadapted: StageDifference | None
    limits: list[Measure]
    sections: list[tuple[str, list[Statement]]]
    flags: dict[str, bool | None]
    artifacts: dict[int, str]  # SHA-256 by seed
    verdict: Verdict | None
    probed: Probed | None

    @property
    def commands(self) -> list[str]:
        """How one seed is run inside the folder; the knobs are in the program already."""
        inputs, torch = self.inputs, value(self.runs[0].torch_version)
        version = f"=={torch.split('+')[0]}" if torch else ""
        settings = {"SEED": str(inputs.plans[-1].seeds[0]), **inputs.environment}
        start = "python" if inputs.nproc == 1 else f"torchrun --standalone --nproc_per_node={inputs.nproc}"
        packages = packages_of({name: knob.value for name, knob in self.runs[0].hyperparameters.items()})
        return [
            shlex.join(["pip", "install", f"torch{version}", *packages]),
            *([inputs.prepare] if inputs.prepare else []),
            " ".join([*(f"{k}={shlex.quote(v)}" for k, v in settings.items()), start, PROGRAM]),
        ]

    @property
    def final_label(self) -> str:
        """The label of the final stage."""
        final = self.runs[0].final
        return LABELS.get(final.kind, final.name) if final else "final"

    @property
    def before_final(self) -> list[StageDifference]:
        """The stages before the final one."""
        return [s for s in self.stages if s.new and s.label != self.final_label]

    @property
    def hardware(self) -> str | None:
        """The hardware of the runs, by their logs."""
        return hardware_of(self.runs[0])

    @property
    def val_bytes(self) -> int | None:
        """Bytes of the validation text."""
        return val_bytes(self.runs[0], self.runs[0].bytes_per_token)

    @property
    def scored_sha256(self) -> str | None:
        """SHA-256 of the validation tokens."""
        return value(self.runs[0].scored_sha256)

    @cached_property  # the template asks often, and the whole ledger is read
    def spreads(self) -> list[float]:
        """Sample standard deviations of this track's records in the ledger, in order of size."""
        return spreads(self.inputs.track.name)


def describe(inputs: RecordInputs, folder: Path, verdict: Verdict | None = None) -> Draft:
    """Read the logs in `folder` and work out all that is to be said of them; BadInput if a final score is missing."""
    runs = read_entry(folder).runs
    sample_of = from_runs(
        runs,
        name=inputs.name,
        track=inputs.track.name,
        title=inputs.name,
        date=inputs.date,
        author=inputs.author,
        source="",
    )
    sample = replace(sample_of.sample(), added_seeds=inputs.plans[-1].added_seeds)
    comparison, no_comparison = None, ""
    try:
        policy = inputs.track.policy
        comparison = compare(sample, inputs.standing.sample(), policy.margin_nats, policy.alpha)
    except BadInput as e:
        no_comparison = str(e)
    scores = list(sample_of.seeds)
    knobs = knob_differences(sample_of.hyperparameters, inputs.standing.hyperparameters)
    stages = stage_differences(scores, inputs.standing.seeds)
    probed = read_probes(inputs.probes) if inputs.probes else None
    facts = Facts(
        track=inputs.track,
        runs=runs,
        standing=inputs.standing,
        comparison=comparison,
        plans=inputs.plans,
        attempts=inputs.attempts,
        knobs=knobs,
        stages=stages,
        program_bytes=(folder / PROGRAM).stat().st_size,
        probed=probed,
    )
    return Draft(
        inputs=inputs,
        runs=runs,
        scores=scores,
        mean=sample.mean,
        std=sample.std,
        comparison=comparison,
        no_comparison=no_comparison,
        knobs=knobs,
        stages=stages,
        unadapted=before_adaptation(stages),
        limits=worst_measures(runs, inputs.track.limits),
        sections=compliance.sections(facts),
        flags=compliance.flags(facts),
        artifacts={r.seed: sha256_file(r.artifact) for r in inputs.runs},
        verdict=verdict,
        probed=probed,
    )


def verdict_of(draft: Draft, checks: Sequence[Check]) -> Verdict:
    """Whether what a draft tells of is a record. `checks` are those of the folder that it was made from."""
    inputs, comparison = draft.inputs, draft.comparison
    reasons = _against_the_plan(inputs) + _foreign_artifacts(draft) + _against_the_rules(draft)
    if not (comparison and comparison.clears):
        reasons.append(comparison.verdict if comparison else draft.no_comparison)
    reasons += [f"{c.id}: {c.message}" for c in checks if c.status == "fail"]
    return Verdict(not reasons, comparison, tuple(checks), tuple(reasons))


def _against_the_plan(inputs: RecordInputs) -> list[str]:
    plan, finished = inputs.plans[-1], [r.seed for r in inputs.runs]
    early = {a.seed: f" (ended early: {a.reason})" for a in inputs.unfinished if a.outcome == "ended early"}
    reasons = [f"seed {s} was planned and did not finish{early.get(s, '')}" for s in plan.seeds if s not in finished]
    reasons += [f"seed {s} is in no plan" for s in finished if s not in plan.seeds]
    if len(finished) < inputs.track.policy.min_seeds:
        reasons.append(
            f"{len(finished)} seeds are fewer than the {inputs.track.policy.min_seeds} that the track asks for"
        )
    return reasons


def _foreign_artifacts(draft: Draft) -> list[str]:
    """Seeds whose artifact is not the file that their log tells of."""
    logged = {r.seed.value: value(r.artifact_sha256) for r in draft.runs if r.seed}
    return [
        f"the artifact of seed {seed} is not the one that its log tells of (SHA-256)"
        for seed, sha256 in draft.artifacts.items()
        if logged.get(seed) not in (None, sha256)
    ]


def _against_the_rules(draft: Draft) -> list[str]:
    """Probes of evaluation that fail, and probes of something else."""
    probed = draft.probed
    if probed is None:
        return []
    foreign = probed.artifact not in draft.artifacts.values() or probed.program != sha256_file(draft.inputs.train_gpt)
    return ["what was probed is not what this record has made (SHA-256)"] * foreign + probed.failures
