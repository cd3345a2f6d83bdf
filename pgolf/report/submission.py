"""From finished seeds to a verdict, and from a verdict to the folder that is submitted, or to a report.

The folder is put together first, and judged by the same audit that a reviewer runs on it; every sentence of it is
made from a log line, a check or a hash, and what is not known is said to be unknown.
"""

import re
import shlex
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pgolf.audit.audit import audit
from pgolf.audit.checks import Check
from pgolf.audit.differences import (
    STAGES,
    KnobDifference,
    StageDifference,
    before_adaptation,
    knob_differences,
    stage_differences,
)
from pgolf.audit.measures import Limit, limits_of
from pgolf.errors import BadInput
from pgolf.evidence.entry import read_entry
from pgolf.evidence.plan import Attempt, Plan, write_plan
from pgolf.evidence.probes import PROBES, Probed, read_probes
from pgolf.evidence.run import Run
from pgolf.files import sha256_file, write_atomic, write_json
from pgolf.ledger import SeedScore, StandingRecord, from_runs, spreads, val_bytes, value
from pgolf.report import compliance
from pgolf.report.compliance import Facts, Statement
from pgolf.report.figures import loss_curves, save_png, stage_waterfall
from pgolf.report.page import NAME, Report, hardware_of, page
from pgolf.report.render import render
from pgolf.stats.comparison import Comparison, compare
from pgolf.tracks import Track

PROGRAM = "train_gpt.py"
DATASET = "dataset.json"
CURVES, WATERFALL = "loss_curves.png", "stages.png"


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
    limits: list[Limit]
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
        return [
            f"pip install torch{version} numpy sentencepiece brotli",
            *([inputs.prepare] if inputs.prepare else []),
            " ".join([*(f"{k}={shlex.quote(v)}" for k, v in settings.items()), start, PROGRAM]),
        ]

    @property
    def final_label(self) -> str:
        """What the final stage is called."""
        final = self.runs[0].final
        return STAGES.get(final.kind, final.name) if final else "final"

    @property
    def before_final(self) -> list[StageDifference]:
        """The stages before the final one."""
        return [s for s in self.stages if s.new and s.label != self.final_label]

    @property
    def hardware(self) -> str | None:
        """What the runs ran on, by their logs."""
        return hardware_of(self.runs[0])

    @property
    def val_bytes(self) -> int | None:
        """Bytes of the validation text."""
        return val_bytes(self.runs[0], self.runs[0].bytes_per_token)

    @property
    def val_sha256(self) -> str | None:
        """SHA-256 of the validation tokens."""
        return value(self.runs[0].val_sha256)

    @property
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
        limits=limits_of(inputs.track, runs),
        sections=compliance.sections(facts),
        flags=compliance.flags(facts),
        artifacts={r.seed: sha256_file(r.artifact) for r in inputs.runs},
        verdict=verdict,
        probed=probed,
    )


def judge(inputs: RecordInputs) -> Verdict:
    """Put the submission together in a temporary folder, audit it as a reviewer would, and say what it is.

    Raises
    ------
    BadInput : a log that is missing or tells of no finished run, a name that makes no folder.
    """
    with tempfile.TemporaryDirectory(prefix="pgolf-") as temporary:
        folder = Path(temporary) / inputs.folder_name
        draft = _put_together(inputs, folder)
        checks = tuple(audit(folder, inputs.track, inputs.standing).checks)
    reasons = _against_the_plan(inputs) + _foreign_artifacts(draft) + _against_the_rules(draft)
    if not (draft.comparison and draft.comparison.clears):
        reasons.append(draft.comparison.verdict if draft.comparison else draft.no_comparison)
    reasons += [f"{c.id}: {c.message}" for c in checks if c.status == "fail"]
    return Verdict(not reasons, draft.comparison, checks, tuple(reasons))


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


def write(inputs: RecordInputs, verdict: Verdict, out: Path) -> Path:
    """Write the submission `out`/records/<track>/<date>_<name>/, or, if the verdict is negative, `out`/report/.

    The folder appears whole or not at all; one that is there already is replaced.

    Returns
    -------
    Path : the folder.
    """
    target = out / "records" / inputs.track.name / inputs.folder_name if verdict.positive else out / "report"
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f".{target.name}.*"):  # of a process that was killed here
        shutil.rmtree(left)
    new = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    new.chmod(0o755)
    try:
        _put_together(inputs, new, verdict)
        if target.exists():
            target.rename(new.with_name(new.name + ".old"))
        new.rename(target)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    shutil.rmtree(new.with_name(new.name + ".old"), ignore_errors=True)
    return target


def write_unfinished(record_id: str, name: str, plans: Sequence[Plan], attempts: Sequence[Attempt], out: Path) -> Path:
    """Write `out`/report/ for a record none of whose seeds came to its end; the folder."""
    text = render("unfinished.md.j2", record_id=record_id, name=name, plans=plans, attempts=attempts)
    write_atomic(out / "report" / "README.md", text)
    return out / "report"


def _put_together(inputs: RecordInputs, folder: Path, verdict: Verdict | None = None) -> Draft:
    """Fill `folder`; without a verdict it is a draft to be audited, with a negative one a report."""
    negative = verdict is not None and not verdict.positive
    with tempfile.TemporaryDirectory(prefix="pgolf-") as temporary:
        evidence = Path(temporary) / folder.name if negative else folder
        _copy(inputs, evidence)
        draft = describe(inputs, evidence, verdict)
    if verdict:
        save_png(loss_curves(draft.scores, inputs.standing), folder / CURVES, "Training loss")
        stages = stage_waterfall(draft.stages, inputs.name, inputs.standing.name)
        save_png(stages, folder / WATERFALL, "Score by stage")
    if not negative:
        write_json(folder / "submission.json", as_json(draft))
    if verdict:
        write_atomic(folder / NAME, page([_report(draft, verdict, () if negative else _files(folder))]))
    files = [] if negative else _files(folder)
    write_atomic(folder / "README.md", render("README.md.j2", d=draft, files=files))
    return draft


def _report(draft: Draft, verdict: Verdict, files: Sequence[tuple[str, int, str]]) -> Report:
    """The same on a page, its charts to be hovered."""
    inputs = draft.inputs
    return Report(
        title=inputs.name,
        author=inputs.author,
        date=inputs.date,
        summary=inputs.summary,
        track=inputs.track,
        runs=draft.runs,
        standing=inputs.standing,
        comparison=draft.comparison,
        no_comparison=draft.no_comparison,
        checks=verdict.checks,
        positive=verdict.positive,
        reasons=verdict.reasons,
        sections=draft.sections,
        plans=inputs.plans,
        attempts=inputs.attempts,
        files=files,
        artifacts=draft.artifacts,
        probed=draft.probed,
    )


def _copy(inputs: RecordInputs, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    copies = {inputs.train_gpt: PROGRAM} | ({inputs.probes: PROBES} if inputs.probes else {})
    for run in inputs.runs:
        copies |= {run.log: f"train_seed{run.seed}.log", run.events: f"train_seed{run.seed}.events.jsonl"}
    for source, name in copies.items():
        try:
            write_atomic(folder / name, source.read_bytes())
        except OSError as e:
            raise BadInput(f"cannot put {source} into the submission: {e.strerror}") from e
    if inputs.dataset:
        write_json(folder / DATASET, dict(inputs.dataset))
    for plan in inputs.plans:
        write_plan(folder, plan)


def _files(folder: Path) -> list[tuple[str, int, str]]:
    """(name, bytes, SHA-256) of what is in the folder so far."""
    return [(p.name, p.stat().st_size, sha256_file(p)) for p in sorted(folder.iterdir()) if p.is_file()]


def as_json(draft: Draft) -> dict[str, Any]:
    """submission.json, in the community's keys; null is unknown."""
    inputs, run = draft.inputs, draft.runs[0]
    return {
        "author": inputs.author,
        "github_id": inputs.github_id,
        "name": inputs.name,
        "date": inputs.date,
        "track": inputs.track.name,
        "val_bpb": round(draft.mean, 8),
        "val_bpb_std": round(draft.std, 8),
        "seeds": [s.seed for s in draft.scores],
        "seed_results": {str(s.seed): _seed_json(s, draft) for s in draft.scores},
        "hardware": draft.hardware,
        "pytorch_version": value(run.torch_version),
        "technique_summary": inputs.summary,
        "previous_record": inputs.standing.name,
        "significance": draft.comparison.as_json() if draft.comparison else None,
        "knob_delta": {k.knob: {"previous": k.old, "here": k.new} for k in draft.knobs},
        "compliance": draft.flags,
        "plans": [p.sha256 for p in inputs.plans],
        "attempts": [asdict(a) for a in inputs.attempts],
    }


def _seed_json(score: SeedScore, draft: Draft) -> dict[str, Any]:
    return {
        "val_bpb": round(score.val_bpb, 8),
        "val_loss": None if score.val_loss is None else round(score.val_loss, 8),
        "artifact_bytes": score.artifact_bytes,
        "code_bytes": score.code_bytes,
        "artifact_sha256": draft.artifacts.get(score.seed) if score.seed is not None else None,
        "steps": score.steps,
        "train_seconds": score.train_seconds,
        "calibration_seconds": score.calibration_seconds,
        "eval_seconds": None if score.eval_seconds is None else round(score.eval_seconds, 3),
        "stages": {s.stage: round(s.val_bpb, 8) for s in score.stages},
    }
