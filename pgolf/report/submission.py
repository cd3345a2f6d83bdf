"""A verdict → the folder that is submitted, or the report that says why it is no record.

The folder is put together first, and judged by the same audit that a reviewer runs on it.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pgolf.audit.audit import audit
from pgolf.audit.belonging import NO_RECORD
from pgolf.errors import BadInput
from pgolf.evidence.plan import Attempt, Plan, write_plan
from pgolf.evidence.probes import PROBES
from pgolf.files import replaced_folder, sha256_file, write_atomic, write_json
from pgolf.ledger import SeedScore, value
from pgolf.program import Program
from pgolf.report.figures import loss_curves, save_png, stage_waterfall
from pgolf.report.inputs import RecordInputs, check_names
from pgolf.report.page import Report, page
from pgolf.report.render import render
from pgolf.report.row import REPORT
from pgolf.report.verdict import Draft, Verdict, describe, verdict_of, verdict_of_non_record
from pgolf.untrusted import Untrusted, read_bytes

MOST_BYTES = 1 << 30  # of a file of a submission
DATASET, SUBMISSION = "dataset.json", "submission.json"
NO_CLAIM = "Non-record submission: no record and no significance is claimed."
CURVES, WATERFALL = "loss_curves.png", "stages.png"


def judge(inputs: RecordInputs) -> Verdict:
    """Put the submission together in a temporary folder, audit it as a reviewer would, and say what it is.

    Raises
    ------
    BadInput : a log that is missing or tells of no finished run, a name that makes no folder.
    """
    with tempfile.TemporaryDirectory(prefix="pgolf-") as temporary:
        folder = Path(temporary) / inputs.folder_name
        draft = _put_together(inputs, folder)
        checks = audit(folder, inputs.track, inputs.standing).checks
    verdict = verdict_of(draft, checks)
    return verdict if verdict.positive or not inputs.non_record else _as_non_record(inputs, verdict)


def _as_non_record(inputs: RecordInputs, verdict: Verdict) -> Verdict:
    """The verdict on what is no record, with whether it can be submitted as a non-record one."""
    with tempfile.TemporaryDirectory(prefix="pgolf-") as temporary:
        folder = Path(temporary) / inputs.folder_name
        draft = _put_together(inputs, folder, no_record=verdict.no_record)
        checks = audit(folder).checks  # as a reviewer's: by the track that it names, beside the record that it names
    return verdict_of_non_record(verdict, draft, checks)


def write(inputs: RecordInputs, verdict: Verdict, out: Path) -> Path:
    """Write the submission `out`/records/<track>/<date>_<name>/, or, if there is none, `out`/report/.

    The track of a submission that is no record is non_record_16mb, and its README says first that it is none. The
    folder appears whole or not at all; one that is there already is replaced.

    Returns
    -------
    Path : the folder.
    """
    track = NO_RECORD if verdict.non_record else inputs.track.name
    target = out / "records" / track / inputs.folder_name if verdict.submitted else out / "report"
    with replaced_folder(target) as new:
        _put_together(inputs, new, verdict, verdict.no_record if verdict.non_record else ())
    return target


def write_draft(inputs: RecordInputs, folder: Path) -> Draft:
    """Fill a new folder with the submission of logs that pgolf did not run, without a verdict: README.md and
    submission.json say what the logs show, and that all else is unknown. BadInput as `judge` raises it."""
    return _put_together(inputs, folder)


def write_unfinished(record_id: str, name: str, plans: Sequence[Plan], attempts: Sequence[Attempt], out: Path) -> Path:
    """Write `out`/report/ for a record of which no seed ran to its end; returns the folder."""
    text = render("unfinished.md.j2", record_id=record_id, name=name, plans=plans, attempts=attempts)
    with replaced_folder(out / "report") as new:
        write_atomic(new / "README.md", text)
    return out / "report"


def _put_together(
    inputs: RecordInputs, folder: Path, verdict: Verdict | None = None, no_record: Sequence[str] = ()
) -> Draft:
    """Fill `folder`; without a verdict it is a draft to be audited, with one that allows no submission a report.
    `no_record` as in `Draft`."""
    negative = verdict is not None and not verdict.submitted
    with tempfile.TemporaryDirectory(prefix="pgolf-") as temporary:
        evidence = Path(temporary) / folder.name if negative else folder
        _copy(inputs, evidence)
        draft = describe(inputs, evidence, verdict, no_record)
    if verdict or not inputs.plans:
        _save_figures(draft, folder)
    if not negative:
        write_json(folder / SUBMISSION, as_json(draft))
    if verdict:
        write_atomic(folder / REPORT, page(_report(draft, verdict, () if negative else _files(folder))))
    edited = () if inputs.plans else (SUBMISSION,)  # a draft's, which its author completes: a hash would not stay true
    files = [] if negative else [file for file in _files(folder) if file[0] not in edited]
    write_atomic(folder / "README.md", render("README.md.j2", d=draft, files=files))
    return draft


def _save_figures(draft: Draft, folder: Path) -> None:
    standing = draft.beside
    if draft.has_curves:
        save_png(loss_curves(draft.scores, standing), folder / CURVES, "Training loss")
    stages = stage_waterfall(draft.stages, draft.inputs.name, standing.name if standing else None)
    save_png(stages, folder / WATERFALL, "Score by stage")


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
        other_text=inputs.standing is not None and draft.beside is None,
        checks=verdict.checks,
        positive=verdict.positive,
        non_record=verdict.non_record,
        reasons=verdict.reasons,
        sections=draft.sections,
        plans=inputs.plans,
        attempts=inputs.attempts,
        files=files,
        artifacts=draft.artifacts,
        probed=draft.probed,
        knobs=draft.knobs,
        counted=draft.counted,
        counted_bytes=draft.counted_bytes,
    )


def _copy(inputs: RecordInputs, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    check_names(inputs.program)
    copies = {name: inputs.source / name for name in inputs.program.files}
    for run in inputs.runs:
        copies[run.log_name] = run.log
        if run.events:
            copies[f"train_seed{run.seed}.events.jsonl"] = run.events
    if inputs.probes:
        copies[PROBES] = inputs.probes
    for name, source in copies.items():
        try:
            content = read_bytes(source, MOST_BYTES, source.parent)
        except Untrusted as e:
            raise BadInput(f"cannot put {source} into the submission: {e.without(source)}") from None
        if inputs.program.files.get(name, content) != content:
            raise BadInput(f"{source} is not what the seeds ran any more: put that file back as it was")
        write_atomic(folder / name, content)
    if inputs.dataset:
        write_json(folder / DATASET, dict(inputs.dataset))
    for plan in inputs.plans:
        write_plan(folder, plan)


def _files(folder: Path) -> list[tuple[str, int, str]]:
    """(path, bytes, SHA-256) of what is in the folder so far."""
    found = ((p.relative_to(folder).as_posix(), p) for p in sorted(folder.rglob("*")) if p.is_file())
    return [(name, p.stat().st_size, sha256_file(p)) for name, p in found]


def as_json(draft: Draft) -> dict[str, Any]:
    """submission.json, in the community's keys; null is unknown."""
    inputs, run, seeds = draft.inputs, draft.runs[0], [s.seed for s in draft.scores]
    claimed = draft.comparison if not draft.no_record else None  # a non-record claims no significance
    return {
        "author": inputs.author,
        "github_id": inputs.github_id,
        "name": inputs.name,
        "date": inputs.date,
        "track": draft.track.name,
        **({"non_record": True, "notes": NO_CLAIM} if draft.no_record else {}),
        "val_bpb": round(draft.mean, 8),
        "val_bpb_std": None if draft.std is None else round(draft.std, 8),
        "seeds": seeds,
        "seed_results": {str(s.seed): _seed_json(s, draft) for s in draft.scores if seeds.count(s.seed) == 1},
        "hardware": draft.hardware,
        "pytorch_version": value(run.torch_version),
        "technique_summary": inputs.summary,
        "previous_record": inputs.standing.name if inputs.standing else None,
        "significance": claimed.as_json() if claimed else None,
        "knob_delta": {k.knob: {draft.knobs.beside: k.old, "here": k.new} for k in draft.knobs.rows},
        **_program_json(inputs.program),
        "compliance": draft.flags,
        "plans": [p.sha256 for p in inputs.plans] or None,
        "attempts": [asdict(a) for a in inputs.attempts] or None,
        **({} if inputs.plans else {"drafted_from_logs": True}),
    }


def _program_json(program: Program) -> dict[str, Any]:
    """The files of a program of the user's; our own is train_gpt.py."""
    if program.ours:
        return {}
    return {"program": program.script, "code": list(program.code), "code_bytes": program.code_bytes}


def _seed_json(score: SeedScore, draft: Draft) -> dict[str, Any]:
    return {
        "val_bpb": round(score.val_bpb, 8),
        "val_loss": None if score.val_loss is None else round(score.val_loss, 8),
        "artifact_bytes": score.artifact_bytes,
        "code_bytes": score.code_bytes,
        **({"counted_bytes": draft.counted_bytes.get(score.seed)} if draft.counted else {}),
        "artifact_sha256": draft.artifacts.get(score.seed) if score.seed is not None else None,
        "steps": score.steps,
        "train_seconds": score.train_seconds,
        "calibration_seconds": score.calibration_seconds,
        "eval_seconds": None if score.eval_seconds is None else round(score.eval_seconds, 3),
        "stages": {s.stage: round(s.val_bpb, 8) for s in score.stages},
    }
