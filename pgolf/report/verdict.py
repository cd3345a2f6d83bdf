"""From a record's seeds to all that is to be said of them (`Draft`), and whether it is a record (`Verdict`).

Every sentence of it is made from a log line, a check or a hash, and what is not known is said to be unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from pgolf import tracks
from pgolf.audit.belonging import NO_RECORD
from pgolf.audit.checks import Check
from pgolf.audit.differences import (
    StageDifference,
    before_adaptation,
    stage_differences,
)
from pgolf.audit.measures import Measure, worst_measures
from pgolf.errors import BadInput
from pgolf.evidence.claimed_stage import claim_stage
from pgolf.evidence.entry import read_entry
from pgolf.evidence.probes import Probed, read_probes
from pgolf.evidence.run import Run
from pgolf.ledger import SeedScore, StandingRecord, from_runs, spreads, val_bytes, value
from pgolf.phrases import counted
from pgolf.report import alt, compliance
from pgolf.report.commands import to_reproduce
from pgolf.report.facts import Facts, Statement
from pgolf.report.inputs import RecordInputs
from pgolf.report.knobs import KnobTable, knob_table
from pgolf.report.page import hardware_of, how_streamed
from pgolf.stages import LABELS
from pgolf.stats.comparison import Comparison, compare
from pgolf.stats.sample import Sample
from pgolf.tracks import Track
from pgolf.untrusted import hash_file

MOST_HASHED = 8 << 30  # bytes of an artifact
WITHOUT_P = {  # why the test of a comparison makes no record, by its outcome
    "undecided": "it is not shown that the mean is better by more than the bar",
    "below": "the mean is not better by more than the bar",
}


@dataclass(frozen=True)
class Verdict:
    """Whether it is a record. `reasons` says why not, a sentence each; empty exactly when `positive`.

    `unfit` says why it is not to be submitted as a non-record either, empty if it is; None where nobody asked for that.
    `checks` are by the rules of the track that it is submitted to. `alike` are other records of the same program, text
    and rules.
    """

    positive: bool
    comparison: Comparison | None
    checks: tuple[Check, ...]
    reasons: tuple[str, ...]
    unfit: tuple[str, ...] | None = None
    alike: tuple[str, ...] = ()

    @property
    def non_record(self) -> bool:
        """Whether it is submitted as a non-record."""
        return not self.positive and self.unfit == ()

    @property
    def submitted(self) -> bool:
        """Whether there is a folder to submit, and not only a report."""
        return self.positive or self.non_record

    @property
    def no_record(self) -> tuple[str, ...]:
        """`reasons` without a p, for a submission that claims no significance."""
        found = self.comparison
        if found is None or found.outcome not in WITHOUT_P:
            return self.reasons
        return tuple(WITHOUT_P[found.outcome] if reason == found.verdict else reason for reason in self.reasons)

    @property
    def against(self) -> list[str]:
        """Why it is no record and, where that was asked for, no non-record submission either."""
        return [*self.reasons, *(f"not fit as a non-record: {reason}" for reason in self.unfit or ())]

    @property
    def warnings(self) -> list[str]:
        """Sentences that stop no record: checks that warn, of a time inside the grace, for one, and other seeds."""
        warnings = [f"{c.id}: {c.message}" for c in self.checks if c.status == "warn"]
        if self.alike:
            warnings.append(f"the same program, text and rules ran with other seeds: {'; '.join(self.alike)}")
        return warnings


@dataclass(frozen=True)
class Draft:
    """All that the templates print. `no_comparison` says why there is none.

    `no_record` says why it is no record, if it is to be submitted as none; empty: a record is claimed.
    """

    inputs: RecordInputs
    runs: list[Run]
    scores: list[SeedScore]
    mean: float
    std: float | None  # None for one seed
    comparison: Comparison | None
    no_comparison: str
    knobs: KnobTable
    stages: list[StageDifference]
    unadapted: StageDifference | None
    counted: Measure | None  # code and model as pgolf counts them; None: the log's figures are its own
    sections: list[tuple[str, list[Statement]]]
    flags: dict[str, bool | None]
    artifacts: dict[int, str]  # SHA-256 by seed
    verdict: Verdict | None
    probed: Probed | None
    no_record: tuple[str, ...] = ()

    @property
    def track(self) -> Track:
        """The track that it is submitted to."""
        return tracks.load(NO_RECORD) if self.no_record else self.inputs.track

    @property
    def commands(self) -> list[str]:
        """How one seed is run inside the folder."""
        return to_reproduce(self.inputs, self.runs[0])

    @property
    def counted_bytes(self) -> dict[int | None, int]:
        """Code and model of each seed as pgolf counts the files; empty for pgolf's own trainer."""
        return self.inputs.counted_bytes() if self.counted else {}

    @property
    def repeated(self) -> bool:
        """Whether two runs are of one seed, or of one that is unknown."""
        return len({s.seed for s in self.scores}) < len(self.scores)

    @property
    def has_curves(self) -> bool:
        """Whether a log holds training losses."""
        return any(s.curve for s in self.scores)

    @property
    def limits(self) -> list[Measure]:
        """The track's limits, each beside the seed that decides; sizes by the logs, and as pgolf counts them."""
        size, *times = worst_measures(self.runs, self.inputs.track.limits)
        return [size, *([self.counted] if self.counted else []), *times]

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
    def streamed(self) -> str | None:
        """How our trainer makes a stage `stream`, which is no word of the community's; None without such a stage."""
        return how_streamed(self.runs[0]) if self.inputs.program.ours else None

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

    @property
    def beside(self) -> StandingRecord | None:
        """The record to beat, where figures show it: none that was scored on other text, as they would show a gain."""
        return self.inputs.standing if self.comparison else None

    @property
    def loss_alt(self) -> str:
        """What the plot of the training losses shows."""
        return alt.of_loss_curves(self.scores, self.beside)

    @property
    def stages_alt(self) -> str:
        """What the plot of the stages shows."""
        return alt.of_stages(self.stages, self.beside)

    @cached_property  # the template asks often, and the whole ledger is read
    def spreads(self) -> list[float]:
        """Sample standard deviations of this track's records in the ledger, in order of size."""
        return spreads(self.inputs.track.name)


def describe(
    inputs: RecordInputs, folder: Path, verdict: Verdict | None = None, no_record: Sequence[str] = ()
) -> Draft:
    """Read the logs in `folder` and work out all that is to be said of them; `no_record` as in `Draft`. BadInput if a
    final score is missing."""
    order = {folder / run.log_name: place for place, run in enumerate(inputs.runs)}
    found = [r for r in read_entry(folder).runs if r.log in order]  # a program may bring logs of its own
    runs = sorted(found, key=lambda r: order[r.log])
    if inputs.stage:
        claim_stage(runs, inputs.stage)
    sample_of = from_runs(
        runs,
        name=inputs.name,
        track=inputs.track.name,
        title=inputs.name,
        date=inputs.date,
        author=inputs.author,
        source="",
    )
    # a log that states no seed is still of the seed that its run was given
    scores = [
        replace(s, seed=inputs.runs[order[r.log]].seed) if s.seed is None else s
        for s, r in zip(sample_of.seeds, runs, strict=True)
    ]
    sample = replace(sample_of.sample(), added_seeds=inputs.plans[-1].added_seeds if inputs.plans else ())
    if sample.bytes_per_token is None:
        sample = replace(sample, bytes_per_token=compliance.dataset_bytes_per_token(inputs.dataset))
    comparison, no_comparison = _compared(inputs, sample)
    program = inputs.program
    knobs = knob_table(sample_of.hyperparameters, inputs.standing, program)
    stages = stage_differences(scores, inputs.standing.seeds if inputs.standing and comparison else ())
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
        program=program,
        counted=counted_size(inputs),
        dataset=inputs.dataset,
        probed=probed,
        claimed=not no_record,
        alike=inputs.alike,
    )
    return Draft(
        inputs=inputs,
        runs=runs,
        scores=scores,
        mean=sample.mean,
        std=sample.std if sample.n > 1 else None,
        comparison=comparison,
        no_comparison=no_comparison,
        knobs=knobs,
        stages=stages,
        unadapted=before_adaptation(stages),
        counted=facts.counted,
        sections=compliance.sections(facts),
        flags=compliance.flags(facts),
        artifacts={
            r.seed: hash_file(r.artifact, MOST_HASHED, r.artifact.parent)
            for r in inputs.runs
            if r.artifact and r.seed is not None
        },
        verdict=verdict,
        probed=probed,
        no_record=tuple(no_record),
    )


def _compared(inputs: RecordInputs, sample: Sample) -> tuple[Comparison | None, str]:
    """The test against the record to beat, or why there is none."""
    if inputs.standing is None:
        return None, "no record to beat was named"
    policy = inputs.track.policy
    try:
        return compare(sample, inputs.standing.sample(), policy.margin_nats, policy.alpha), ""
    except BadInput as e:
        return None, str(e)


def counted_size(inputs: RecordInputs) -> Measure | None:
    """The largest sum of a seed's artifact and the program's code, from the files themselves.

    None for pgolf's own trainer, whose log gives the same sum, and where the artifacts are not there.
    """
    sizes = {} if inputs.program.ours else inputs.counted_bytes()
    if not sizes:
        return None
    seed = max(sizes, key=lambda s: sizes[s])
    return Measure(
        "code and model, as pgolf counts the files", "bytes", inputs.track.limits.artifact_bytes, sizes[seed], seed=seed
    )


def verdict_of(draft: Draft, checks: Sequence[Check]) -> Verdict:
    """Whether what a draft tells of is a record. `checks` are those of the folder that it was made from."""
    inputs, comparison = draft.inputs, draft.comparison
    reasons = [] if inputs.track.record else [f"track {inputs.track.name} is not for records"]
    reasons += _against_the_plan(inputs) + _foreign_artifacts(draft) + _against_the_rules(draft)
    if not (comparison and comparison.clears):
        reasons.append(comparison.verdict if comparison else draft.no_comparison)
    reasons += [f"{c.id}: {c.message}" for c in checks if c.status == "fail"]
    if draft.counted and draft.counted.status == "fail" and not any(r.startswith("artifact-bytes") for r in reasons):
        reasons.append(f"{draft.counted.what} of seed {draft.counted.seed}: {draft.counted.said}")
    return Verdict(not reasons, comparison, tuple(checks), tuple(reasons), alike=inputs.alike)


def verdict_of_non_record(verdict: Verdict, draft: Draft, checks: Sequence[Check]) -> Verdict:
    """The verdict on what is no record, with what stands against submitting it as a non-record one: a file that is not
    the seeds' own, evaluation that is not legal, a check of the non-record folder that fails."""
    unfit = _foreign_artifacts(draft) + _against_the_rules(draft)
    unfit += [f"{c.id}: {c.message}" for c in checks if c.status == "fail"]
    size, limit = draft.counted, draft.track.limits.artifact_bytes
    if size and size.value and size.value > limit and not any(r.startswith("artifact-bytes") for r in unfit):
        unfit.append(f"{size.what} of seed {size.seed}: {size.value:,.0f} bytes, over {limit:,}")
    return replace(verdict, checks=verdict.checks if unfit else tuple(checks), unfit=tuple(unfit))


def _against_the_plan(inputs: RecordInputs) -> list[str]:
    plan, finished = inputs.plans[-1], [r.seed for r in inputs.runs]
    early = {a.seed: f" (ended early: {a.reason})" for a in inputs.unfinished if a.outcome == "ended early"}
    reasons = [f"seed {s} was planned and did not finish{early.get(s, '')}" for s in plan.seeds if s not in finished]
    reasons += [f"seed {s} is in no plan" for s in finished if s not in plan.seeds]
    if len(finished) < inputs.track.policy.min_seeds:
        reasons.append(
            f"{counted(len(finished), 'seed')}: fewer than the {inputs.track.policy.min_seeds} that the track asks for"
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
    program = draft.inputs.program
    foreign = probed.artifact not in draft.artifacts.values() or probed.program != program.hashes[program.script]
    return ["what was probed is not what this record has made (SHA-256)"] * foreign + probed.failures
