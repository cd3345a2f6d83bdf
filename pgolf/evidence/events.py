"""events.jsonl, the trainer's own record of a run, → `Run`. Exact where the text log is rounded, so it is preferred."""

import json
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

from pgolf.errors import BadInput
from pgolf.evidence.lines import printable, read_lines
from pgolf.evidence.run import CurvePoint, Evidence, Problem, Run, Sourced, Stage, stage_kind

Event = dict[str, Any]
BEGINNING = '{"t": '  # of the trainer's events


def read_events(path: Path, relative_to: Path | None = None) -> Run | None:
    """The run that an events file tells of; None if no line of it is an event.

    Of a run that was ended and resumed, it is what it was in the end: steps that were repeated count once.

    Lines that are no event (a torn one, someone else's) are passed over; so are facts of the wrong type.

    Raises
    ------
    BadInput : the file cannot be read.
    """
    name = printable(path.relative_to(relative_to).as_posix() if relative_to else path.name)
    run, found = Run(log=path), False
    try:
        for number, line in read_lines(path):
            if event := _event(line):
                found = True
                _take(run, event, Evidence(name, number))
    except OSError as e:
        raise BadInput(f"cannot read the events {path}: {e.strerror}") from None
    return run if found else None


def _event(line: str) -> Event | None:
    """What a line says; where a kill tore an event and a resumed run went on in its line, what that one says."""
    for text in (line, BEGINNING + line.rpartition(BEGINNING)[2]):
        try:
            event = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and isinstance(event.get("event"), str):
            return event
    return None


def _take(run: Run, event: Event, at: Evidence) -> None:
    match event["event"]:
        case "start":
            _start(run, event, at)
        case "data":
            run.val_tokens, run.val_bytes = _whole(event, "val_tokens", at), _whole(event, "val_bytes", at)
            # version 0.1 called it val_sha256, which is the whole split's
            run.scored_sha256 = _word(event, "scored_sha256", at) or _word(event, "val_sha256", at)
        case "model":
            run.parameters = _whole(event, "parameters", at)
            run.weights_fingerprint = _word(event, "weights_fingerprint", at)
        case "train" | "val" as which:
            _point(run, event, f"{which}_loss", at)
        case "stop":
            run.steps, milliseconds = _whole(event, "step", at), _whole(event, "train_ms", at)
            run.train_seconds = Sourced(milliseconds.value / 1000, at) if milliseconds else None
        case "stage":
            _stage(run, event, at)
        case "calibration":
            took = _number(event, "seconds")
            run.calibration, run.calibration_seconds = at, None if took is None else Sourced(took, at)
        case "artifact":
            run.model_bytes, run.code_bytes = _whole(event, "model_bytes", at), _whole(event, "code_bytes", at)
            run.artifact_bytes = _whole(event, "total_bytes", at)
            run.artifact_sha256 = _word(event, "sha256", at)
        case "error":
            run.problems.append(Problem("error", printable(str(event.get("message"))), at))
        case "end":
            run.ended = True


def _start(run: Run, event: Event, at: Evidence) -> None:
    run.stages, run.problems, run.ended = [], [p for p in run.problems if p.kind != "error"], False
    config = event.get("config")
    for knob, value in config.items() if isinstance(config, dict) else ():
        run.hyperparameters[printable(knob)] = Sourced(printable(str(value)), at)
    run.seed = _whole(config, "seed", at) if isinstance(config, dict) else None
    run.world_size = _whole(event, "world_size", at)
    run.torch_version, run.hardware = _word(event, "torch", at), _word(event, "device", at)


def _point(run: Run, event: Event, key: str, at: Evidence) -> None:
    step, loss, milliseconds = _number(event, "step"), event.get(key), _number(event, "train_ms")
    if step is None or not isinstance(loss, int | float):
        return
    if not math.isfinite(loss):
        run.problems.append(Problem("not-finite", f"{key} {loss} at step {step:.0f}", at))
    point = CurvePoint(int(step), float(loss), None if milliseconds is None else milliseconds / 1000, at)
    curve = run.val_curve if key == "val_loss" else run.train_curve
    while curve and curve[-1].step >= point.step:  # a resumed run takes steps after its checkpoint again
        curve.pop()
    curve.append(point)


def _stage(run: Run, event: Event, at: Evidence) -> None:
    bpb, loss, milliseconds = _number(event, "val_bpb"), _number(event, "val_loss"), _number(event, "eval_ms")
    name = printable(str(event.get("stage")), 80)
    if bpb is None or loss is None or bpb <= 0 or loss <= 0:
        run.problems.append(Problem("not-finite", f"{name}: val_loss {loss} val_bpb {bpb}", at))
        return
    took = None if milliseconds is None else milliseconds / 1000
    run.stages.append(Stage(name, stage_kind(name), loss, bpb, took, decimals=8, at=at))


def _number(event: Event, key: str) -> float | None:
    value = event.get(key)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _whole(event: Event, key: str, at: Evidence) -> Sourced[int] | None:
    value = event.get(key)
    return Sourced(value, at) if isinstance(value, int) and not isinstance(value, bool) else None


def _word(event: Event, key: str, at: Evidence) -> Sourced[str] | None:
    value = event.get(key)
    return Sourced(printable(value), at) if isinstance(value, str) else None


def beside(log: Path) -> list[Path]:
    """Where the events of a log may be: events_seed42.jsonl or train_seed42.events.jsonl beside train_seed42.log, or
    the folder's one events.jsonl."""
    names = [f"{log.stem}.events.jsonl", f"events_{log.stem.removeprefix('train_')}.jsonl", "events.jsonl"]
    return [p for p in (log.with_name(n) for n in names) if p.is_file()]


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
    """What both say of one run: the events' word first, the log's where they are silent."""
    both = Run(log=log.log)
    for f in fields(Run):
        if f.name != "log":
            setattr(both, f.name, getattr(events, f.name) or getattr(log, f.name))
    both.stages = max(events.stages, log.stages, key=len)
    both.hyperparameters = log.hyperparameters | events.hyperparameters
    both.problems = log.problems + events.problems
    both.ended = log.ended and events.ended
    return both
