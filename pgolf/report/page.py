"""A record on one page that explains itself: `report.html`, from a submission that is being written, or from anybody's
record folder. It loads nothing, runs no script, and every figure on it is a log's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from markupsafe import Markup

from pgolf import __version__
from pgolf.audit.audit import Audit, Audited
from pgolf.audit.checks import Check, Status
from pgolf.audit.differences import (
    StageDifference,
    before_adaptation,
    stage_differences,
)
from pgolf.audit.many import Unreadable
from pgolf.audit.measures import Measure, worst_measures
from pgolf.audit.target import TargetAudit
from pgolf.errors import BadInput
from pgolf.evidence.lines import printable
from pgolf.evidence.plan import Attempt, Plan, read_plans
from pgolf.evidence.probes import PROBES, Probed, read_probes
from pgolf.evidence.run import OF_THE_RUN, Run
from pgolf.files import write_atomic
from pgolf.ledger import SeedScore, StandingRecord, bytes_per_token, seed_score, value
from pgolf.phrases import counted
from pgolf.report import alt, figures, leaderboard
from pgolf.report.facts import Statement
from pgolf.report.knobs import KnobTable, knob_table
from pgolf.report.render import render
from pgolf.report.row import REPORT
from pgolf.report.target_page import TargetReport, sizes_of
from pgolf.stats.comparison import Comparison
from pgolf.tracks import Track
from pgolf.untrusted import Untrusted, hash_file

BELOW = "; the table below has the figures"
MOST_HASHED = 1 << 30  # bytes of a file of a record's folder


@dataclass(frozen=True)
class Report:
    """All that the page shows of one record.

    Attributes
    ----------
    positive, reasons : the verdict, and why not; None where there is only an audit.
    non_record : it is submitted as what it is, no record.
    other_text : the record to beat was scored on other text, so that no gain is one.
    runs : one a seed; those with a final score make the figures.
    other_runs : (log, run) of those in the folder that the record does not claim.
    standing, comparison : the record to beat, if one was named; `no_comparison` says why there is none.
    sections : the compliance statement.
    files : (name, bytes, SHA-256) of what the folder holds.
    artifacts : SHA-256 of each seed's model.
    probed : what the legality probes found.
    knobs : every knob that differs from the standing record's.
    counted, counted_bytes : sizes as pgolf counts the files, the largest and by seed; beside those of the logs.
    """

    title: str
    author: str | None
    date: str | None
    summary: str
    track: Track
    runs: Sequence[Run]
    standing: StandingRecord | None
    comparison: Comparison | None
    no_comparison: str
    checks: Sequence[Check]
    positive: bool | None = None
    non_record: bool = False
    other_text: bool = False
    reasons: Sequence[str] = ()
    sections: Sequence[tuple[str, Sequence[Statement]]] = ()
    plans: Sequence[Plan] = ()
    attempts: Sequence[Attempt] = ()
    files: Sequence[tuple[str, int, str]] = ()
    artifacts: Mapping[int, str] = field(default_factory=dict)
    probed: Probed | None = None
    knobs: KnobTable | None = None
    counted: Measure | None = None
    counted_bytes: Mapping[int | None, int] = field(default_factory=dict)
    other_runs: Sequence[tuple[str, Run]] = ()

    template: ClassVar[str] = "_record.html.j2"

    @cached_property
    def scores(self) -> list[SeedScore]:
        """The result of each seed that has a final score."""
        return [seed_score(run) for run in self.runs if run.final]

    @property
    def mean(self) -> float | None:
        return sum(s.val_bpb for s in self.scores) / len(self.scores) if self.scores else None

    @property
    def std(self) -> float | None:
        """Sample standard deviation (n − 1) in bpb."""
        if self.mean is None or len(self.scores) < 2:
            return None
        return float((sum((s.val_bpb - self.mean) ** 2 for s in self.scores) / (len(self.scores) - 1)) ** 0.5)

    @property
    def hardware(self) -> str | None:
        """The hardware of the runs, by their logs."""
        return hardware_of(self.runs[0]) if self.runs else None

    @property
    def headline(self) -> str:
        """The verdict in words."""
        if self.positive is None:
            failed = self.count("fail")
            return f"{failed} check{'s' * (failed != 1)} fail{'s' * (failed == 1)}" if failed else "no check fails"
        return "record" if self.positive else "non-record submission" if self.non_record else "no record"

    @property
    def light(self) -> Status:
        """The colour of the headline."""
        if self.positive is None:
            return "fail" if self.count("fail") else "warn" if self.count("warn") else "pass"
        return "pass" if self.positive else "warn" if self.non_record else "fail"

    def count(self, status: Status) -> int:
        """How many checks came out so."""
        return sum(c.status == status for c in self.checks)

    @property
    def beside(self) -> StandingRecord | None:
        """The record to beat, where figures show it: none that was scored on other text, as they would show a gain."""
        return None if self.other_text else self.standing

    @cached_property
    def stages(self) -> list[StageDifference]:
        """Every stage of both records."""
        return stage_differences(self.scores, self.beside.seeds if self.beside else ())

    @property
    def own_stages(self) -> list[StageDifference]:
        """The stages that were scored here."""
        return [s for s in self.stages if s.new]

    @property
    def unadapted(self) -> StageDifference | None:
        """The last stage before adaptation, where both records have one."""
        return before_adaptation(self.stages)

    @property
    def streamed(self) -> str | None:
        """How our trainer, which logs the fingerprint of its weights, makes a stage `stream`; None without one."""
        ours = next((run for run in self.runs if run.final and run.weights_fingerprint), None)
        return how_streamed(ours) if ours else None

    @property
    def limits(self) -> list[Measure]:
        """The track's limits, each beside the seed that decides."""
        size, *times = worst_measures(self.runs, self.track.limits)
        return [size, *([self.counted] if self.counted else []), *times]

    @property
    def hashes(self) -> list[tuple[str, int | None, str]]:
        """(name, bytes, SHA-256) of the folder's files, each seed's model, the validation tokens."""
        rows: list[tuple[str, int | None, str]] = [*self.files]
        for seed, sha256 in self.artifacts.items():
            rows.append((f"model of seed {seed}", None, sha256))
        texts = dict.fromkeys(run.scored_sha256.value for run in self.runs if run.scored_sha256)
        rows += [("validation tokens", None, sha256) for sha256 in texts]
        return rows

    @property
    def curves(self) -> list[tuple[str, dict[int, str]]]:
        """The name of each seed, and its losses by step as they are printed; the standing record's seeds last."""
        sides = list(zip(figures.names(self.scores), self.scores, strict=True))
        if self.beside:
            theirs = figures.names(self.beside.seeds)
            sides += [(f"{self.beside.name} {n}", s) for n, s in zip(theirs, self.beside.seeds, strict=True)]
        return [(name, _losses(score)) for name, score in sides if score.curve]

    @property
    def curve_steps(self) -> list[int]:
        """Every step that one of the curves has."""
        return sorted({step for _, points in self.curves for step in points})

    @property
    def has_curves(self) -> bool:
        return any(s.curve for s in self.scores)

    @property
    def standing_has_seconds(self) -> bool:
        return any(s.curve_seconds for s in self.beside.seeds) if self.beside else False

    @property
    def bytes_per_token(self) -> float | None:
        """Of the validation text, from the final (loss, bpb) pairs."""
        return bytes_per_token(self.scores) if self.scores else None

    @property
    def other_tokens(self) -> bool:
        """Whether the standing record's tokens are of another length: losses per token then do not compare."""
        ours, theirs = self.bytes_per_token, self.beside.bytes_per_token if self.beside else None
        return bool(ours and theirs and abs(ours / theirs - 1) > 1e-3)

    def loss_chart(self, by: figures.By) -> Markup:
        """Training loss over steps, or over seconds."""
        figure = figures.loss_curves(self.scores, self.beside, by)
        return figures.as_svg(figure, alt.of_loss_curves(self.scores, self.beside, by) + BELOW)

    def stage_chart(self) -> Markup:
        """bpb by stage, beside the standing record."""
        figure = figures.stage_waterfall(self.stages, self.title, self.beside.name if self.beside else None)
        return figures.as_svg(figure, alt.of_stages(self.stages, self.beside) + BELOW)

    def gain_chart(self) -> Markup:
        """Δ with its interval, against zero and the bar."""
        if self.comparison is None:
            return Markup()
        return figures.as_svg(figures.gain_interval(self.comparison), alt.of_gain(self.comparison) + BELOW)


def _losses(score: SeedScore) -> dict[int, str]:
    seconds = [f" ({s:.1f} s)" for s in score.curve_seconds] or [""] * len(score.curve)
    return {step: f"{loss:.4f}{at}" for (step, loss), at in zip(score.curve, seconds, strict=True)}


def how_streamed(run: Run) -> str | None:
    """How our trainer makes a stage `stream`, which is no word of the community's; None without such a stage."""
    if all(stage.kind != "stream" for stage in run.stages):
        return None
    chunks = "; adaptation scores its chunks like this, too" if run.final and run.final.name == "quantized_ttt" else ""
    how = "every token passes the model once, with keys and values of the tokens before it"
    return f"At the stage stream {how}{chunks}."


def hardware_of(run: Run) -> str | None:
    """The hardware of a run, by its log."""
    name, world = value(run.hardware), value(run.world_size)
    if name is None:
        return None
    return "CPU" if name == "cpu" else f"{world or '?'}x {name}"


def report_of(audit: Audited) -> Report | TargetReport:
    """The report of a folder that was audited; BadInput as `report_of_audit` raises it."""
    if not isinstance(audit, TargetAudit):
        return report_of_audit(audit)
    files = _hashed(audit.folder, sizes_of(audit))
    return TargetReport(audit, audit.folder.resolve().name, files, read_plans(audit.folder))


def report_of_audit(audit: Audit) -> Report:
    """The report of a record folder that was audited.

    Raises
    ------
    BadInput : a file of the folder cannot be read, or is not what its name says (plan.json, probes.jsonl).
    """
    claims = audit.entry.claims
    dump = {k: v.value for r in audit.runs[:1] for k, v in r.hyperparameters.items() if k not in OF_THE_RUN}
    return Report(
        title=claims.name or audit.folder.resolve().name,
        author=claims.author,
        date=claims.date,
        summary="",
        track=audit.track,
        runs=audit.runs,
        standing=audit.previous,
        comparison=audit.comparison,
        no_comparison=audit.no_comparison,
        other_text=audit.other_text,
        checks=audit.checks,
        plans=read_plans(audit.folder),
        files=_hashed(audit.folder, audit.entry.sizes),
        probed=read_probes(audit.folder / PROBES) if PROBES in audit.entry.sizes else None,
        artifacts={r.seed.value: r.artifact_sha256.value for r in audit.runs if r.seed and r.artifact_sha256},
        knobs=knob_table(dump, audit.previous) if audit.previous else None,
        other_runs=[(audit.entry.name_of(run), run) for run in audit.other_runs],
    )


def _hashed(folder: Path, sizes: Mapping[str, int]) -> tuple[tuple[str, int, str], ...]:
    """(name, bytes, SHA-256) of the folder's files, but for the page itself."""
    return tuple((name, size, _hash_of(folder, name)) for name, size in sizes.items() if name != REPORT)


def _hash_of(folder: Path, name: str) -> str:
    """SHA-256 of a file in the folder, or why there is none."""
    try:
        return hash_file(folder / name, MOST_HASHED, folder)
    except Untrusted as e:
        return f"none: {printable(e.without(folder / name))}"


def page(report: Report | TargetReport) -> str:
    """A record as a page."""
    return render("report.html.j2", r=report, version=__version__)


def write_report(audits: Sequence[Audited], path: Path) -> Path:
    """Write the page of these record folders; BadInput as `report_of_audit` raises it."""
    _write([(audit, report_of(audit)) for audit in audits], path)
    return path


def write_report_of_all(audits: Sequence[Audited], path: Path) -> list[Unreadable]:
    """Write the page of the record folders that it can be made of, if there is one; the others, and why."""
    made, others = [], []
    for audit in audits:
        try:
            made.append((audit, report_of(audit)))
        except BadInput as e:
            others.append(Unreadable(audit.folder, str(e)))
    if made:
        _write(made, path)
    return others


def _write(made: Sequence[tuple[Audited, Report | TargetReport]], path: Path) -> None:
    """One record has the page to itself; several have a leaderboard, and each its part below."""
    audits, reports = zip(*made, strict=True)
    if len(made) == 1:
        text = page(reports[0])
    else:
        text = leaderboard.page(counted(len(made), "record"), audits, path.resolve().parent, reports)
    write_atomic(path, text)
