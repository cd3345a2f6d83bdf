"""How long runs will still take, replayed from recorded events against a clock of the test's own."""

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from pgolf.evidence.manifest import list_machines
from pgolf.evidence.plan import make_plan, write_plan
from pgolf.files import write_json
from pgolf.record.earlier import earlier_course, earlier_probes
from pgolf.record.progress import Progress
from pgolf.record.rows import Row, said_left
from pgolf.record.time_left import Course, Left, Stage, course_of, mean_course, time_left, whole_left

# seeds of preset smoke as it was: 338 s, mostly of an adaptation that is silent for 45 s after each of its chunks
LEAPS = Path(__file__).parents[1] / "recorded" / "leaps"


def events(seed: int) -> list[str]:
    return (LEAPS / f"train_seed{seed}.events.jsonl").read_text().splitlines(keepends=True)


def ended(seed: int) -> Progress:
    progress = Progress()
    for line in events(seed):
        progress.feed(line)
    progress.elapsed = progress.heard
    return progress


def replayed(
    course: Course | None, tick: float = 0.5, at: Callable[[float], float] = lambda t: t
) -> Iterator[tuple[float, float, Left]]:
    """(seconds since the start, seconds that are really left, the estimate) at every tick of seed 314; `at` says when
    something happens on another machine."""
    told = [json.loads(line) for line in events(314)]
    lines = [(at(event["t"]), json.dumps(event | {"t": at(event["t"])}) + "\n") for event in told]
    progress, whole, now = Progress(), lines[-1][0], 0.0
    while now < whole:
        while lines and lines[0][0] <= now:
            progress.feed(lines.pop(0)[1])
        progress.elapsed = now
        left = time_left(progress, course)
        if left:
            yield now, whole - now, left
        now += tick


def test_estimate_shrinks_and_its_error_too_beside_a_run_of_the_same_kind() -> None:
    course = course_of(ended(42))
    told = list(replayed(course))
    whole = told[0][1]
    assert all(left.seconds >= 0 and left.basis == "runs" for _, _, left in told)
    errors = [abs(left.seconds - real) / whole for _, real, left in told]
    thirds = [max(errors[i * len(errors) // 3 : (i + 1) * len(errors) // 3]) for i in range(3)]
    assert thirds[0] < 0.10 and thirds[1] < 0.05 and thirds[2] < 0.02
    for (_, _, before), (_, _, after) in pairwise(told):
        assert after.seconds <= before.seconds + 0.05 * whole  # it takes little back


def test_first_run_of_all_is_told_as_far_as_its_own_stage_and_then_from_its_own_leaps() -> None:
    told = list(replayed(None))
    whole = sum(told[0][:2])
    assert told[0][0] > 3.0, "nothing is told before a stage has a pace"
    by_stage = [(real, left) for _, real, left in told if left.basis == "stage"]
    by_itself = [(real, left) for _, real, left in told if left.basis == "runs"]
    assert by_stage and all(left.seconds <= real for real, left in by_stage)  # it is the least
    assert len(by_itself) > 0.4 * len(told)
    assert all(abs(left.seconds - real) < 0.08 * whole for real, left in by_itself)  # its leaps last 37 to 48 s


@pytest.mark.parametrize(("factor", "error"), [(1.0, 0.04), (2.0, 0.02), (0.5, 0.05)])
def test_leaps_of_a_machine_whose_speed_changes_are_told_by_the_last_one(factor: float, error: float) -> None:
    told = list(replayed(None, at=lambda t: t if t < 215 else 215 + factor * (t - 215)))
    whole = told[0][1]
    by_itself = [(real, left) for _, real, left in told if left.basis == "runs"]
    assert max(abs(left.seconds - real) for real, left in by_itself[-len(by_itself) // 3 :]) < error * whole


def test_last_chunk_is_only_scored() -> None:
    chunks = [json.loads(line) for line in events(314)]
    border = next(i for i, event in enumerate(chunks) if event.get("done") == 198_656)  # after the third silence
    chunks = [event | {"total": 262_144} if event.get("stage") == "quantized_ttt" else event for event in chunks]
    progress = Progress()
    for event in chunks[: border + 1]:  # of four chunks: the fourth is the last
        progress.feed(json.dumps(event) + "\n")
    progress.elapsed = progress.heard
    left = time_left(progress)
    assert left and 3 < left.seconds < 12  # 63,488 tokens to score: 6 s; another silence would be 36 s more


def test_stage_that_takes_longer_than_expected_is_said_to_and_grows() -> None:
    course = Course((Stage("train", 50.0), Stage("quantized", 10.0), Stage("quantized_ttt", 100.0)))
    progress = Progress()
    progress.feed('{"t": 50, "event": "progress", "stage": "quantized", "done": 1, "total": 1}\n')
    told = []
    for now in (55.0, 60.0, 70.0, 90.0):
        progress.elapsed = now
        told.append(time_left(progress, course))
    assert [left and (round(left.seconds), left.over) for left in told] == [
        (105, False),
        (100, False),
        (105, True),
        (115, True),
    ]


def test_slower_machine_is_seen_by_the_stages_behind_it() -> None:
    course = Course((Stage("train", 50.0), Stage("quantized", 10.0), Stage("quantized_ttt", 100.0)))
    progress = Progress()
    progress.feed('{"t": 0, "event": "progress", "stage": "train", "done": 0, "total": 9}\n')
    progress.feed('{"t": 100, "event": "progress", "stage": "quantized", "done": 0, "total": 9}\n')
    progress.elapsed = 100.0
    left = time_left(progress, course)
    assert left and left.seconds == pytest.approx(220, rel=0.1)  # twice as slow


def test_log_without_events_has_a_course_by_its_own_timers() -> None:
    log = (Path(__file__).parents[1] / "recorded" / "april" / "42.log").read_text()
    done = Progress()
    done.elapsed = 1e6  # whoever watched it came late, and all lines at once
    done.feed_log(log)
    done.finish(succeeded=True)
    course = course_of(done)
    assert course and done.train_seconds
    assert [s.name for s in course.stages][:2] == ["starting", "train"]
    assert course.seconds == pytest.approx(1e6)
    going = Progress()
    going.elapsed = 10.0
    going.feed_log(log[: log.index("stopping_early") if "stopping_early" in log else len(log) // 2])
    left = time_left(going, course)
    assert left and 0 <= left.seconds < course.seconds


def test_pgolfs_trainer_is_ended_by_its_clock_not_by_its_steps() -> None:
    progress = Progress()
    config = {"max_wallclock_seconds": 600.0, "gptq_reserve_seconds": 12.0}
    progress.feed(json.dumps({"t": 0, "event": "start", "config": config}) + "\n")
    for t, step in ((20, 0), (21, 1), (120, 700), (314, 2000)):
        progress.feed(json.dumps({"t": t, "event": "progress", "stage": "train", "done": step, "total": 20_000}) + "\n")
        told = {"t": t, "event": "train", "step": step, "iterations": 20_000, "train_loss": 3.0}
        progress.feed(json.dumps(told | {"train_ms": (t - 20) * 1000}) + "\n")
    progress.elapsed = 314.0
    assert progress.fraction == pytest.approx(0.5)
    assert progress.stage_left() == pytest.approx(294.0)


def test_waiting_runs_are_told_by_the_places_that_are_free() -> None:
    going = [Row(f"seed {i}", stage="train", left=left, basis="runs") for i, left in enumerate((100.0, 40.0))]
    waiting = Row("seed 2", left=200.0, basis="runs")
    done = Row("seed 3", stage="done", elapsed=200.0)
    assert whole_left([*going, waiting, done]) == Left(240.0, "runs")
    assert whole_left([*going, Row("seed 2")]) is None  # nobody knows how long that one takes
    assert whole_left([done]) == Left(0.0, "runs")
    assert said_left(0.4, over=True) == "a little longer"


def record(folder: Path, preset: str, machine: str = "here") -> Path:
    folder.mkdir(parents=True)
    write_plan(folder, make_plan(folder.name, "cpu_smoke", preset, [42, 314], {}))
    list_machines(folder, {machine: {"versions": {"torch": "2"}}})
    return folder


def test_earlier_records_of_the_same_kind_and_place_tell_of_the_first_seeds(tmp_path: Path) -> None:
    now = record(tmp_path / "now", "smoke")
    assert earlier_course(now) is None
    for folder in (record(tmp_path / "old", "smoke"), record(tmp_path / "rented", "smoke", "pod-1")):
        for seed in (42, 314):
            attempt = folder / "seeds" / str(seed) / "attempt-1"
            attempt.mkdir(parents=True)
            (attempt / "events.jsonl").write_text("".join(events(seed)))
            write_json(attempt / "pod.json", {"pid": 1, "started": 1000.0, "command": ["x"]})
            write_json(attempt / "exit.json", {"exit_code": 0, "signals": [], "ended": 1340.0})
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "plan.json").write_text("{")
    both = [course for seed in (42, 314) if (course := course_of(ended(seed)))]
    assert earlier_course(now) == mean_course(both)
    assert earlier_course(record(tmp_path / "other", "smoke-base")) is None
    ran = {"ttt_enabled": True, "sliding_window_enabled": True}
    assert earlier_course(now, ran) == mean_course(both)
    without = earlier_course(now, ran | {"ttt_enabled": False})
    assert without and [s for s in both[-1].stages if s.name not in {s.name for s in without.stages}] == [
        both[-1].stages[-1]
    ]
    assert both[-1].stages[-1].name == "quantized_ttt"
    assert earlier_course(now, ran | {"stream_enabled": True}) is None, "none has told how long that takes"
    assert earlier_probes(now) is None
    about = {"seed": 42, "artifact": "ab", "program": "cd"}
    (tmp_path / "old" / "probes.jsonl").write_text(json.dumps(about) + "\n")
    assert earlier_probes(now) is None, "an earlier pgolf kept no time"
    (tmp_path / "old" / "probes.jsonl").write_text(json.dumps(about | {"seconds": 28.5}) + "\n")
    assert earlier_probes(now) == 28.5
    (tmp_path / "old" / "seeds" / "42" / "attempt-1" / "exit.json").write_text("?")
    assert earlier_course(now) == mean_course(both[1:])


def test_records_of_the_same_knobs_tell_before_newer_ones_of_others(tmp_path: Path) -> None:
    for name, knobs, seconds in (("now", "a", None), ("like it", "a", 1.0), ("newer", "b", 2.0)):
        folder = tmp_path / name
        folder.mkdir()
        write_plan(folder, make_plan(name, "cpu_smoke", "smoke", [42], {"knobs": knobs}))
        list_machines(folder, {"here": {"versions": {"torch": "2"}}})
        about = {"seed": 42, "artifact": "ab", "program": "cd", "seconds": seconds}
        (folder / "probes.jsonl").write_text(json.dumps(about) + "\n")
    assert earlier_probes(tmp_path / "now") == 1.0
