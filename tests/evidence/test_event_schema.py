"""The trainer's events against their schema: it knows all that is written; no line of a stranger breaks it."""

import json
import re
from pathlib import Path

import pytest
from schema import OLD, check_schema

from pgolf.evidence.event_schema import EVENTS, LARGEST, READERS, Score, Stop, Train, decode
from pgolf.evidence.events import read_events
from pgolf.record.progress import Progress

TESTS = Path(__file__).parents[1]
RECORDED = sorted(TESTS.glob("recorded/*/*/events.jsonl"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda p: "-".join(p.parts[-3:-1]))
def test_recorded_runs_hold_to_the_schema(path: Path) -> None:
    told = check_schema(path)
    assert {"start", "data", "model", "train", "val", "loop", "stop", "calibration", "artifact", "stage", "end"} <= told


def test_schema_and_documentation_name_the_same_events_and_keys() -> None:
    text = (TESTS.parent / "docs/architecture.md").read_text()
    table = text.split("| event | other keys |")[1].split("\n\n")[0]
    rows = {row[0]: row[1] for row in re.findall(r"^\| `(\w+)` \|(.*)\|$", table, re.M)}
    assert rows.keys() == EVENTS.keys()
    for name, cell in rows.items():
        keys = {key for key, _ in READERS[name][1]} - {"t"} - OLD.get(name, set())
        assert keys <= set(re.findall(r"`(\w+)`", cell)), name


def test_every_event_that_the_trainer_can_write_is_in_the_schema() -> None:
    sources = "".join(p.read_text() for p in (TESTS.parent / "pgolf/trainer").glob("*.py"))
    written = set(re.findall(r"\.event\(\s*\"(\w+)\"", sources))
    assert written == EVENTS.keys()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "null",
        "[1]",
        '{"t": 1.0}',
        '{"t": 1.0, "event": ["stop"]}',
        '{"t": 1.0, "event": "somebody\'s"}',
        '{"t": 1.0, "event": "tra',
        "[" * 50_000,
        '{"t": 1.0, "event": "error", "message": "' + "x" * 70_000 + '"}',
    ],
    ids=lambda line: line[:20],
)
def test_a_strangers_line_is_passed_over(line: str) -> None:
    assert decode(line) is None


@pytest.mark.parametrize("value", ["9", True, None, [], {}, 10**400, -LARGEST, float("nan"), float("inf")], ids=repr)
def test_a_fact_that_is_none_is_unknown_and_the_others_stay(value: object, tmp_path: Path) -> None:
    stop = {"t": 1.5, "event": "stop", "reason": "iterations", "step": value, "iterations": 9, "train_ms": value}
    assert decode(json.dumps(stop)) == Stop(1.5, "iterations", None, 9, None)
    score = {"t": 2.0, "event": "stage", "stage": "quantized", "val_loss": value, "val_bpb": value, "eval_ms": value}
    assert decode(json.dumps(score)) == Score(2.0, "quantized", None, None, None)
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(json.dumps(e) for e in (stop, score, score | {"val_loss": 2.8, "val_bpb": 1.1})))
    run = read_events(path)
    assert run and run.steps is None and run.final and run.final.eval_seconds is None
    progress = Progress()
    progress.feed(path.read_text() + "\n")
    assert progress.eval_seconds is not None and progress.train_seconds is None


def test_loss_that_is_no_number_is_told() -> None:
    event = decode('{"t": 1.0, "event": "train", "step": 3, "iterations": 9, "train_loss": NaN, "train_ms": 5}')
    assert isinstance(event, Train) and event.train_loss != event.train_loss


def test_run_that_was_resumed_inside_a_torn_line_is_followed_live() -> None:
    progress = Progress()
    progress.feed('{"t": 9.0, "event": "train", "st{"t": 0.1, "event": "progress", "stage": "train", "done": 5, "to')
    progress.feed('tal": 10}\n')
    assert (progress.stage, progress.done, progress.total) == ("train", 5, 10)
