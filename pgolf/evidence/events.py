"""events.jsonl, the trainer's own record of a run, → `Run`. Exact where the text log is rounded, so it is preferred."""

import math
import os
from dataclasses import fields
from pathlib import Path

from pgolf.errors import BadInput
from pgolf.evidence import event_schema as said
from pgolf.evidence.event_schema import Event, read_event_lines
from pgolf.evidence.lines import printable
from pgolf.evidence.run import CurvePoint, Evidence, Problem, Run, Sourced, Stage, T, stage_kind

EVENTS = "events.jsonl"


def read_events(path: Path, relative_to: Path | None = None) -> Run | None:
    """The run that an events file tells of; None if no line of it is an event of the trainer.

    If the run was ended and resumed, its last state counts: of a step that was repeated, the last time.

    Raises
    ------
    BadInput : the file cannot be read.
    """
    name = printable(path.relative_to(relative_to).as_posix() if relative_to else path.name)
    run, any_event = Run(log=path), False
    try:
        for number, event in read_event_lines(path, relative_to):
            any_event = True
            _take(run, event, Evidence(name, number))
    except OSError as e:
        raise BadInput(f"cannot read the events {path}: {e.strerror}") from None
    return run if any_event else None


def _take(run: Run, event: Event, at: Evidence) -> None:
    match event:
        case said.Train():
            milliseconds, loss = event.train_ms, event.train_loss
            _point(run, run.train_curve, event.step, "train_loss", loss, milliseconds, at)
        case said.Val():
            _point(run, run.val_curve, event.step, "val_loss", event.val_loss, None, at)
        case said.Start():
            _start(run, event, at)
        case said.Data():
            run.val_tokens, run.val_bytes = _sourced(event.val_tokens, at), _sourced(event.val_bytes, at)
            run.scored_sha256 = _word(event.scored_sha256 or event.val_sha256, at)
        case said.Model():
            run.parameters = _sourced(event.parameters, at)
            run.weights_fingerprint = _word(event.weights_fingerprint, at)
        case said.Stop():
            run.steps = _sourced(event.step, at)
            run.train_seconds = _sourced(None if event.train_ms is None else event.train_ms / 1000, at)
        case said.Score():
            _score(run, event, at)
        case said.Calibration():
            run.calibration, run.calibration_seconds = at, _sourced(event.seconds, at)
        case said.Written():
            run.model_bytes, run.code_bytes = _sourced(event.model_bytes, at), _sourced(event.code_bytes, at)
            run.artifact_bytes = _sourced(event.total_bytes, at)
            run.artifact_sha256 = _word(event.sha256, at)
        case said.Failed():
            run.problems.append(Problem("error", printable(event.message or "no message"), at))
        case said.End():
            run.ended = True


def _start(run: Run, event: said.Start, at: Evidence) -> None:
    run.stages, run.problems, run.ended = [], [p for p in run.problems if p.kind != "error"], False
    config = event.config or {}
    for knob, value in config.items():
        run.hyperparameters[printable(knob)] = Sourced(printable(str(value)), at)
    run.seed = _sourced(said.whole(config.get("seed")), at)
    run.world_size, run.threads = _sourced(event.world_size, at), _sourced(event.threads, at)
    run.torch_version, run.hardware = _word(event.torch, at), _word(event.device, at)


def _point(
    run: Run,
    curve: list[CurvePoint],
    step: int | None,
    name: str,
    loss: float | None,
    milliseconds: float | None,
    at: Evidence,
) -> None:
    if step is None or loss is None:
        return
    if not math.isfinite(loss):
        run.problems.append(Problem("not-finite", f"{name} {loss} at step {step}", at))
    while curve and curve[-1].step >= step:  # a resumed run takes steps after its checkpoint again
        curve.pop()
    curve.append(CurvePoint(step, loss, None if milliseconds is None else milliseconds / 1000, at))


def _score(run: Run, event: said.Score, at: Evidence) -> None:
    if event.stage is None:
        return
    bpb, loss, name = event.val_bpb, event.val_loss, printable(event.stage, 80)
    if bpb is None or loss is None or bpb <= 0 or loss <= 0:
        run.problems.append(Problem("not-finite", f"{name}: val_loss {loss} val_bpb {bpb}", at))
        return
    took = None if event.eval_ms is None else event.eval_ms / 1000
    run.stages.append(Stage(name, stage_kind(name), loss, bpb, took, decimals=8, at=at))


def _sourced(value: T | None, at: Evidence) -> Sourced[T] | None:
    return None if value is None else Sourced(value, at)


def _word(value: str | None, at: Evidence) -> Sourced[str] | None:
    return None if value is None else Sourced(printable(value), at)


def beside(log: Path) -> list[Path]:
    """Where the events of a log may be: events_seed42.jsonl or train_seed42.events.jsonl beside train_seed42.log, or
    the folder's one events.jsonl."""
    names = [f"{log.stem}.events.jsonl", f"events_{log.stem.removeprefix('train_')}.jsonl", EVENTS]
    return [p for p in (log.with_name(n) for n in names) if os.path.lexists(p)]


def same_run(log: Run, events: Run) -> bool:
    """Whether a log and an events file agree on the seed, the number of steps and every score, as far as both say."""
    if log.seed and events.seed and log.seed.value != events.seed.value:
        return False
    if log.steps and events.steps and log.steps.value != events.steps.value:
        return False
    scores = {s.name: s for s in events.stages}
    pairs = [(s, scores[s.name]) for s in log.stages if s.name in scores]
    return all(abs(a.val_bpb - b.val_bpb) <= 0.51 * 10.0**-a.decimals for a, b in pairs) and (
        bool(pairs) or not (log.stages and events.stages)
    )


def joined(log: Run, events: Run) -> Run:
    """Both accounts of one run as one: the events' word first, the log's where they are silent."""
    both = Run(log=log.log)
    for f in fields(Run):
        if f.name != "log":
            setattr(both, f.name, getattr(events, f.name) or getattr(log, f.name))
    both.stages = max(events.stages, log.stages, key=len)
    both.hyperparameters = log.hyperparameters | events.hyperparameters
    both.problems = log.problems + events.problems
    both.ended = log.ended and events.ended
    return both
