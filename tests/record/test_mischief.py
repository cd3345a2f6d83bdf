"""A program that misbehaves, through a whole seed: a failed attempt with its reason, which nothing replaces, and which
leaves nothing running."""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from pgolf.pods.local import MARK, LocalPod
from pgolf.program import Program
from pgolf.record import results, seeds
from pgolf.record.early_stop import DECISION, read_decision
from pgolf.record.job import Job
from pgolf.record.results import Result, read_result
from pgolf.record.seeds import NoResult, attempts, has_ended, run_seed

BAD = Path(__file__).parents[1] / "programs/bad.py"
SEED = 314


def job(record: Path, mischief: str, most_seconds: float = 600.0, **environment: str) -> Job:
    """The job of a record's seeds that run bad.py, plainly."""
    content = BAD.read_bytes()
    program = Program("theirs", False, {BAD.name: content}, BAD.name, (BAD.name,), command=("python", "{script}"))
    given = {"MISCHIEF": mischief, **environment}
    return Job("seed", record / "seeds", program, BAD.parent, given, most_seconds=most_seconds)


def running(attempt: Path) -> list[int]:
    """The processes that carry an attempt's mark."""

    def found() -> Iterator[int]:
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get(MARK) == str(attempt.resolve()):
                    yield process.pid

    return [*found()]


def is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def refused_twice(this: Job, record: Path, words: str) -> Path:
    """Run a seed that must be no result, and run it again, which must start nothing; the folder of its one attempt."""
    with pytest.raises(NoResult) as first:
        run_seed(this, SEED, threading.Event())
    attempt = record / "seeds" / str(SEED) / "attempt-1"
    assert words in str(first.value)
    assert not running(attempt)
    pod = (attempt / "pod.json").read_text()
    with pytest.raises(NoResult) as second:
        run_seed(this, SEED, threading.Event())
    assert str(second.value) == str(first.value)
    assert (attempt / "pod.json").read_text() == pod
    (told,) = attempts(record, [SEED])
    assert told.outcome == "failed"
    assert words in (told.reason or "")
    assert has_ended(this, SEED)
    return attempt


@pytest.mark.parametrize(
    ("mischief", "words"),
    [
        ("no_score", "no final score can be read in train.log"),
        ("two_scores", "train.log tells of more than one result: val_bpb 2.21400000"),
        ("nan", "the score is not a finite number above 0"),
        ("no_artifact", "the program has left no artifact"),
        ("other_seed", "the log is of seed 315, the program was given 314"),
        ("several_runs", "train.log tells of more than one result: val_bpb 1.91000000"),
        ("contradiction", "two logs tell of different final scores"),
        ("two_artifacts", "2 files fit final_model.*.ptz"),
        ("link", "final_model.int8.ptz is a link"),
        ("folder", "final_model.int8.ptz is a folder"),
        ("pipe", "final_model.int8.ptz is a pipe"),
        ("empty", "final_model.int8.ptz is empty"),
    ],
)
def test_a_seed_without_a_result_has_failed(mischief: str, words: str, tmp_path: Path) -> None:
    refused_twice(job(tmp_path, mischief), tmp_path, words)


@pytest.mark.parametrize("mischief", ["endless", "forks"])
def test_a_program_that_ignores_the_clock_is_ended_with_all_that_it_has_forked(mischief: str, tmp_path: Path) -> None:
    this = job(tmp_path, mischief, most_seconds=2.0)
    attempt = refused_twice(this, tmp_path, "it has not ended 2 s after its start, the track's limits")
    forks = (attempt / "forks.txt").read_text().split() if mischief == "forks" else []
    assert not any(psutil.pid_exists(int(fork)) and is_alive(psutil.Process(int(fork))) for fork in forks)


@pytest.mark.parametrize("name", ["train.log", "events.jsonl", "logs/seed314.txt"])
def test_a_program_that_prints_without_end_is_ended(name: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(seeds, "LOG_MOST", 1 << 20)
    environment = {"LOG_FILE": name} if name != "train.log" else {}
    attempt = refused_twice(job(tmp_path, "long_log", **environment), tmp_path, f"{name} has more than 1,048,576 bytes")
    assert (attempt / name).stat().st_size < 1 << 30


def test_of_a_long_log_only_the_beginning_is_watched(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(seeds, "LOG_MOST", 1 << 20)
    monkeypatch.setattr(results, "LOG_MOST", 1 << 20)
    monkeypatch.setattr("pgolf.pods.local.READ_AT_ONCE", 1 << 18)
    this = job(tmp_path, "long_log", LOG_BYTES="5000000")
    pod = LocalPod(tmp_path / "seeds" / str(SEED) / "attempt-1")
    pod.put(BAD, BAD.name)
    pod.start(this.program.start(1), {**this.environment, "SEED": str(SEED), "RUN_ID": f"seed{SEED}"})
    deadline = time.monotonic() + 60
    while pod.status().state != "ended":  # nobody has watched it
        assert time.monotonic() < deadline
        time.sleep(0.05)
    output, read = LocalPod.output, 0

    def counted(pod: LocalPod, offset: int, name: str = "train.log") -> tuple[str, int]:
        nonlocal read
        text, after = output(pod, offset, name)
        read += after - offset
        return text, after

    with monkeypatch.context() as patched:
        patched.setattr(LocalPod, "output", counted)
        with pytest.raises(NoResult, match=r"the log train\.log has 5,"):
            run_seed(this, SEED, threading.Event())
    assert 1 << 20 < read < 2 << 20


def test_a_program_that_forks_and_ends_has_a_result_and_leaves_nothing_running(tmp_path: Path) -> None:
    finished = run_seed(job(tmp_path, "orphan"), SEED, threading.Event())
    assert not running(finished.folder)
    assert read_result(finished.folder) == Result("train.log", "final_model.int8.ptz", None)


def test_a_program_that_prints_only_into_its_own_log_has_a_result(tmp_path: Path) -> None:
    finished = run_seed(job(tmp_path, "silent"), SEED, threading.Event())
    assert read_result(finished.folder) == Result("logs/seed314.txt", "final_model.int8.ptz", None)
    assert finished.files["logs/seed314.txt"]


def test_an_exit_json_of_the_programs_own_ends_nothing(tmp_path: Path) -> None:
    refused_twice(job(tmp_path, "forged_exit", most_seconds=2.0), tmp_path, "it has not ended 2 s after its start")


def test_a_program_that_says_that_its_supervisor_is_gone_has_failed(tmp_path: Path) -> None:
    attempt = refused_twice(job(tmp_path, "forged_pod"), tmp_path, "it has written over pod.json or exit.json")
    assert json.loads((attempt / "exit.json").read_text())["signals"]
    assert json.loads((attempt / "pod.json").read_text())["pid"] != 1


@pytest.mark.parametrize(
    "content",
    [
        "[",
        "[1]",
        "[" * 100_000,
        '{"rule": "mine", "reason": "", "step": 1, "decided": ""}',
        '{"rule": "loss", "reason": 3, "step": 1, "decided": ""}',
        " " * 70_000 + '{"rule": "loss", "reason": "", "step": 1, "decided": ""}',
    ],
)
def test_a_decision_that_pgolf_did_not_write_is_none(content: str, tmp_path: Path) -> None:
    (tmp_path / DECISION).write_text(content)
    assert read_decision(tmp_path) is None


def test_a_pipe_in_the_place_of_a_decision_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / DECISION)
    assert read_decision(tmp_path) is None


def test_a_decision_of_the_programs_own_is_fit_to_be_shown(tmp_path: Path) -> None:
    forged = {"rule": "loss", "reason": "\x1b[2Jall is well\n| 1 |", "step": 3, "decided": "2026-01-01"}
    (tmp_path / DECISION).write_text(json.dumps(forged))
    decision = read_decision(tmp_path)
    assert decision
    assert decision.reason.isprintable()
