"""A speedrun's runs → the folder that is submitted, or the report that says why it is no record.

The folder is put together first, and judged by the same audit that a reviewer runs on it.
"""

import shlex
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pgolf.audit.checks import Check
from pgolf.audit.checks.speedrun.review import VariantFigures
from pgolf.audit.target import TargetAudit, audit_target
from pgolf.errors import BadInput
from pgolf.files import copy_folder, replaced_folder, sha256_file, write_atomic, write_json
from pgolf.phrases import counted
from pgolf.program import Program
from pgolf.program.environment import published
from pgolf.report.commands import to_run_again
from pgolf.report.inputs import check_names
from pgolf.report.render import render
from pgolf.report.runs_figures import RunsFigures, write_curves
from pgolf.report.runs_inputs import BASELINE, NEW, OWN_NAMES, PlannedRun, RunsInputs
from pgolf.report.target_rows import target_of
from pgolf.stats.comparison import format_p
from pgolf.tracks.written import as_toml, is_own
from pgolf.untrusted import Untrusted, read_bytes

MOST_BYTES = 1 << 30  # of a file of a submission
OF_README = "stated-"  # how the names of checks begin that hold README.md against the logs
PLAN = "plan.json"


@dataclass(frozen=True)
class RunsVerdict:
    """Whether it is a record. `reasons` says why not, a sentence each; empty exactly when `positive`. `audit` is of the
    folder with the logs; None: no run has one."""

    audit: TargetAudit | None
    reasons: tuple[str, ...]
    remade: int = 0  # runs that were stopped or lost, and made again

    @property
    def positive(self) -> bool:
        return not self.reasons

    @property
    def checks(self) -> tuple[Check, ...]:
        """The checks of the audit."""
        return self.audit.checks if self.audit else ()

    @property
    def warnings(self) -> list[str]:
        """The checks that warn (and fail, of a record's README), and runs that were made again, a sentence each. They
        stop no record."""
        told = ("warn", "fail") if self.positive else ("warn",)
        were = "run was" if self.remade == 1 else "runs were"
        again = [f"{self.remade} {were} stopped or lost, and made again"] if self.remade else []
        return again + [f"{c.id}: {c.message}" for c in self.checks if c.status in told]


def judge_runs(inputs: RunsInputs) -> RunsVerdict:
    """Put the submission together in a temporary folder, audit it as a reviewer would, and say what it is.

    Raises
    ------
    BadInput : a log or a file of the program that cannot be read, a name that makes no folder.
    """
    with tempfile.TemporaryDirectory(prefix="pgolf-") as temporary:
        folder = Path(temporary) / inputs.folder_name
        _copy(inputs, folder)
        return _verdict(inputs, folder)


def as_written(verdict: RunsVerdict, path: Path) -> RunsVerdict:
    """The verdict with the audit of the folder that was written; a report has no logs, and no check is of its README.

    Raises BadInput where the folder cannot be read.
    """
    audit = verdict.audit
    if audit is None:
        return verdict
    if verdict.positive:
        return replace(verdict, audit=audit_target(path, audit.track))
    checks = tuple(c for c in audit.checks if not c.id.startswith(OF_README))
    return replace(verdict, audit=replace(audit, folder=path, checks=checks))


def write_runs_submission(inputs: RunsInputs, out: Path) -> Path:
    """Write the submission `out`/records/<track>/<date>_<name>/, or, if it is no record, `out`/report/, which says why.

    The folder appears whole or not at all; one that is there already is replaced.

    Parameters
    ----------
    inputs : of the record.
    out : the record's folder, `runs/<record-id>`.

    Returns
    -------
    Path : the folder.

    Raises
    ------
    BadInput : as `judge_runs`.
    """
    with tempfile.TemporaryDirectory(prefix="pgolf-") as temporary:
        folder = Path(temporary) / inputs.folder_name
        _copy(inputs, folder)
        verdict = _verdict(inputs, folder)
        target = out / "records" / inputs.track.name / inputs.folder_name if verdict.positive else out / "report"
        with replaced_folder(target) as new:
            if verdict.positive:
                copy_folder(folder, new)
            _describe(inputs, verdict, new)
    return target


def _copy(inputs: RunsInputs, folder: Path) -> None:
    """Fill `folder` with all that is copied: the logs, the program's files, the plan."""
    check_names(inputs.program, OWN_NAMES)
    copies = {name: inputs.source / name for name in inputs.program.files}
    copies |= {inputs.log_name(run): run.log for run in inputs.runs if run.log}
    for name, source in copies.items():
        try:
            content = read_bytes(source, MOST_BYTES, source.parent)
        except Untrusted as e:
            raise BadInput(f"cannot put {source} into the submission: {e.without(source)}") from None
        if inputs.program.files.get(name, content) != content:
            raise BadInput(f"{source} is not what the runs ran any more: put that file back as it was")
        write_atomic(folder / name, content)
    write_json(folder / PLAN, dict(inputs.plan))
    if is_own(inputs.track) and not (folder / f"{inputs.track.name}.toml").exists():
        write_atomic(folder / f"{inputs.track.name}.toml", as_toml(inputs.track))


def _verdict(inputs: RunsInputs, folder: Path) -> RunsVerdict:
    logs = any(run.log for run in inputs.runs)
    found = audit_target(folder, inputs.track) if logs else None
    remade = sum(len(run.attempts) > 1 for run in inputs.runs)
    return RunsVerdict(found, tuple(_reasons(inputs, found)), remade)


def _reasons(inputs: RunsInputs, audit: TargetAudit | None) -> Iterator[str]:
    yield from inputs.reasons
    for run in inputs.runs:
        if run.log is None:
            why = f" ({run.attempts[-1].reason})" if run.attempts and run.attempts[-1].reason else ""
            ending = "did not finish" if run.attempts else "was not started"
            yield f"run {run.number} ({run.variant}) was planned and {ending}{why}"
    if audit is None:
        return
    new = next((v for v in audit.variants if v.variant.name == NEW), None)
    for name in (NEW, BASELINE):
        there = next((len(v.results) for v in audit.variants if v.variant.name == name), 0)
        if there < len(inputs.finished(name)):
            left = len(inputs.finished(name)) - there
            do = "does" if left == 1 else "do"
            yield f"{left} of {counted(len(inputs.finished(name)), 'run')} of {name} {do} not count"
    failed = [c for c in audit.checks if c.status == "fail"]
    yield from (f"{c.id}: {c.message}" for c in failed)
    if new and not any(c.id == "target-loss" for c in failed):
        yield from _above_target(new, audit)
    if new and not any(c.id == "gain" for c in failed):
        yield from _no_gain(new, audit)


def _above_target(new: VariantFigures, audit: TargetAudit) -> Iterator[str]:
    target, loss = target_of(audit), new.loss
    if loss is None or loss.n < target.min_runs:
        n = 0 if loss is None else loss.n
        count = "run of {} counts" if n == 1 else "runs of {} count"
        yield f"{n} {count.format(NEW)}, fewer than the {target.min_runs} of the track"
    elif loss.p is None or loss.p >= target.alpha:
        p = "p is unknown, for all losses are equal" if loss.p is None else f"p = {format_p(loss.p)}"
        yield f"its mean loss {loss.mean:.{new.decimals + 1}f} is not shown to be below {target.loss:g}: {p}"


def _no_gain(new: VariantFigures, audit: TargetAudit) -> Iterator[str]:
    target, gain, baseline = target_of(audit), new.gain, audit.baseline
    if baseline is None:
        yield "no run of the baseline counts, so that nothing is known of a gain"
    elif target.least == "steps":
        if not (new.steps and baseline.steps and new.steps[-1] < baseline.steps[-1]):
            yield "it takes no fewer steps than the baseline"
    elif gain is None or gain.p is None or gain.p >= target.gain_alpha:
        p = "p is unknown" if gain is None or gain.p is None else f"p = {format_p(gain.p)}"
        yield f"it is not shown to be faster than the baseline: {p}"


def _describe(inputs: RunsInputs, verdict: RunsVerdict, folder: Path) -> None:
    """Write what is said of the runs: curves.png and README.md."""
    if verdict.audit:
        write_curves(verdict.audit, folder)
    text = render("runs_README.md.j2", d=RunsDraft(inputs, verdict), files=files_of(folder) if verdict.positive else [])
    write_atomic(folder / "README.md", text)


def files_of(folder: Path) -> list[tuple[str, int, str]]:
    """(path, bytes, SHA-256) of what is in the folder so far."""
    found = ((p.relative_to(folder).as_posix(), p) for p in sorted(folder.rglob("*")) if p.is_file())
    return [(name, p.stat().st_size, sha256_file(p)) for name, p in found]


@dataclass(frozen=True)
class RunsDraft:
    """All that the README prints."""

    inputs: RunsInputs
    verdict: RunsVerdict

    @property
    def figures(self) -> RunsFigures:
        """Those of its audit."""
        return RunsFigures(self.verdict.audit)

    @property
    def machines(self) -> dict[str, list[PlannedRun]]:
        """The finished runs of each machine."""
        found: dict[str, list[PlannedRun]] = {}
        for run in self.inputs.runs:
            if run.log:
                found.setdefault(run.machine, []).append(run)
        return found

    @property
    def counts(self) -> dict[str, int]:
        """How many attempts ended how."""
        outcomes = [a.outcome for a in self.inputs.attempts]
        return {outcome: outcomes.count(outcome) for outcome in dict.fromkeys(outcomes)}

    @staticmethod
    def settings(program: Program) -> list[str]:
        """NAME=VALUE of what was set for a program, without values that are not published."""
        return [f"{name}={text}" for name, text in published(program).items()]

    @property
    def audit_command(self) -> str:
        """The command that audits the folder: a track of the author's own has its file in it, if there is room."""
        name = self.inputs.track.name
        return f"pgolf audit . --track {shlex.quote(f'./{name}.toml' if is_own(self.inputs.track) else name)}"

    @property
    def commands(self) -> list[str]:
        """How one run of the new variant is run inside the folder."""
        runs = [run for v in self.verdict.audit.variants for run in v.variant.runs] if self.verdict.audit else []
        return to_run_again(self.inputs, runs[0]) if runs else []
