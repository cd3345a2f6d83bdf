"""Progress from a log's text alone, against the log reader's view of the whole log."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgolf import tracks
from pgolf.audit.measures import artifact_bytes, measures_of
from pgolf.evidence.lines import MAX_LINE_CHARS
from pgolf.evidence.logs import read_run, read_runs
from pgolf.evidence.run import Run
from pgolf.record.board import Board
from pgolf.record.early_stop import Judge, training_end
from pgolf.record.progress import Progress
from pgolf.record.time_left import Left, time_left

SHARED = Path(__file__).resolve().parents[3] / "shared"
LIMITS = tracks.load("10min_16mb").limits
JUDGE = Judge(("limits",), LIMITS, tracks.load("10min_16mb").early_stop, capped=False)
PUBLIC = sorted(
    p for name in ("public-records", "public-prs") for p in (SHARED / name).rglob("*") if p.suffix in (".log", ".txt")
)

MARCH = """\
step:1/20000 train_loss:6.9357 train_time:132ms step_avg:131.9ms
step:200/20000 train_loss:2.7500 train_time:10200ms step_avg:51.0ms
step:400/20000 train_loss:2.4000 train_time:20200ms step_avg:50.5ms
step:400/20000 val_loss:2.4100 val_bpb:1.4200 train_time:20210ms step_avg:50.5ms
stopping_early: wallclock_cap train_time:20210ms step:400/20000
Serialized model: 67224983 bytes
Code size: 47686 bytes
Total submission size: 67272669 bytes
Serialized model int8+zlib: 15815847 bytes (payload:17178912 raw_torch:17224025 payload_ratio:3.91x)
Total submission size int8+zlib: 15863533 bytes
final_int8_zlib_roundtrip val_loss:2.4200 val_bpb:1.4300 eval_time:1402ms
final_int8_zlib_roundtrip_exact val_loss:2.42001234 val_bpb:1.43001234
"""
APRIL = """\
Hyperparameters:
  max_wallclock_seconds: 600.0
  seed: 42
  train_batch_tokens: 786432
train_shards: 80
1/20000 train_loss: 9.0111 train_time: 0.0m tok/s: 8220000
500/20000 train_loss: 3.3000 train_time: 0.8m tok/s: 8100000
1000/20000 train_loss: 3.1000 train_time: 1.6m tok/s: 8100000
4550/20000 val_loss: 2.8100 val_bpb: 1.0900
stopping_early: wallclock_cap train_time: 588047ms step: 4550/20000
pre-quantization post-ema val_loss:2.80873440 val_bpb:1.08734790 eval_time:7440ms
Serialized model: 135431033 bytes
Code size: 16630 bytes
GPTQ:collecting Hessians from calibration data...
GPTQ:collected 67 Hessians in 12.7s
Serialized model quantized+brotli: 15975300 bytes
Total submission size quantized+brotli: 15991930 bytes
quantized val_loss:2.84064989 val_bpb:1.09970431 eval_time:25515ms
ttt_sliding:start chunks=1238 chunk_tokens=32768
  ttt_chunk [1/1238] bpb=1.118066 time=4.6s
quantized_ttt val_loss:2.79180191 val_bpb:1.08079352 eval_time:366525ms
"""


def fed(text: str, at: float = 0.0) -> Progress:
    progress = Progress()
    progress.elapsed = at
    progress.feed_log(text)
    return progress


def upto(log: str, last: str) -> str:
    """The lines of a log up to the one that begins with `last`."""
    lines = log.splitlines(keepends=True)
    return "".join(lines[: 1 + next(i for i, line in enumerate(lines) if line.startswith(last))])


def timers(run: Run) -> list[float | None]:
    """Seconds of training, the calibration included, that a log tells of at last; where it does not say, at a step."""
    calibration = run.calibration_seconds.value if run.calibration_seconds else 0.0
    if run.train_seconds:
        return [run.train_seconds.value + calibration]
    seconds = [p.seconds for p in (*run.train_curve, *run.val_curve)]
    return [None if s is None else s + calibration for s in seconds] or [None]


@pytest.mark.parametrize("path", PUBLIC, ids=lambda p: f"{p.parent.name[-40:]}-{p.name}")
def test_public_log_in_pieces_ends_as_the_log_reader_reads_it(path: Path) -> None:
    runs = list(read_runs(path))
    last = runs[-1] if runs else Run(path)
    text, progress, rng = path.read_text("utf-8-sig", "replace"), Progress(), random.Random(path.name)
    steps: list[int] = []
    while text:
        piece, text = text[: (cut := rng.choice((1, 10, 100, 1000, 10_000)))], text[cut:]
        progress.elapsed += 0.1
        progress.feed_log(piece)
        if not JUDGE(progress):
            steps.append(progress.step or 0)
        else:
            assert any(m.status == "fail" for m in measures_of(last, LIMITS)), JUDGE(progress)
    progress.finish(succeeded=True)
    loss = last.train_curve[-1] if last.train_curve else None
    size = artifact_bytes(last)
    assert (progress.step, progress.loss) == ((loss.step, loss.loss) if loss else (None, None))
    assert progress.val_bpb == (last.final.val_bpb if last.final else last.stages[-1].val_bpb if last.stages else None)
    assert progress.train_seconds in timers(last)
    assert progress.artifact_bytes == (size.value if size else None)
    if len(runs) == 1:
        assert read_run(path).final == last.final
        assert steps == sorted(steps)
    if last.final:
        passes = [s.eval_seconds for s in last.stages if s.kind != "pre-quant" and not s.diagnostic]
        timed = [seconds for seconds in passes if seconds is not None]
        total = last.total_eval_seconds.value if last.total_eval_seconds else None
        assert progress.eval_seconds == (pytest.approx(sum(timed)) if timed else total)
    assert len(progress.curve) <= len(last.train_curve)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(
        [
            MARCH,
            APRIL,
            MARCH.replace("\n", "\r\n"),
            APRIL + "Traceback (most recent call last):\n  File x\nKeyError: 'x'\nRuntimeError: no\n" + MARCH[:150],
            "\x1b[32mseed: 1\x1b[0m\n" + MARCH + "seed: 1\nbar 1%\rbar 2%\r" + APRIL + "x" * 70_000 + "\n" + MARCH,
        ]
    ),
    st.data(),
)
def test_any_cutting_gives_the_same_progress(log: str, data: st.DataObject) -> None:
    whole = fed(log)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(log)), max_size=40)))
    pieces = Progress()
    for start, end in zip([0, *cuts], [*cuts, len(log)], strict=True):
        pieces.feed_log(log[start:end])
    assert pieces == whole
    whole.finish(succeeded=False)
    pieces.finish(succeeded=False)
    assert pieces == whole


def test_stages_come_as_the_log_tells_of_them() -> None:
    seen = []
    for line in APRIL.splitlines(keepends=True):
        seen.append(fed(upto(APRIL, line.rstrip())).stage)
    assert list(dict.fromkeys(seen)) == [
        "starting",
        "train",
        "trained",
        "pre-quantization post-ema",
        "calibration",
        "artifact",
        "quantized",
        "quantized_ttt",
    ]
    assert fed(upto(MARCH, "Code size")).stage == "trained"  # the model before it is compressed is not the artifact
    assert fed(upto(MARCH, "Total submission size int8")).stage == "artifact"
    done = fed(APRIL)
    assert done.stage != "done"
    done.finish(succeeded=True)
    assert (done.stage, time_left(done)) == ("done", Left(0.0, "runs"))
    assert (done.step, done.loss, done.val_bpb) == (1000, 3.1, 1.08079352)
    assert done.train_seconds == pytest.approx(588.047 + 12.7)
    assert done.artifact_bytes == 15991930
    assert done.passes == {"quantized": 25.515, "quantized_ttt": 366.525}


def test_run_that_begins_anew_forgets_the_one_before() -> None:
    progress = fed(MARCH)
    progress.elapsed = 90.0
    progress.feed_log("seed: 7\n")
    assert progress == Progress(heard=90.0, elapsed=90.0)
    progress.feed_log("step:1/20000 train_loss:6.9 train_time:132ms\n")
    assert (progress.step, progress.loss, progress.val_bpb, progress.artifact_bytes) == (1, 6.9, None, None)
    assert progress.begun == {"train": 90.0}


def test_evaluation_of_the_artifact_in_the_same_log_belongs_to_its_run() -> None:
    progress = fed(MARCH + "seed: 7\nfinal_sliding_window val_loss:2.3 val_bpb:1.35 eval_time:100000ms\n")
    assert (progress.step, progress.loss, progress.val_bpb) == (400, 2.4, 1.35)
    assert (progress.train_seconds, progress.artifact_bytes) == (20.21, 15863533)
    assert progress.passes == {"quantized": 1.402, "quantized_sliding_window": 100.0}
    other = fed("seed:6\n" + MARCH + "seed:7\nfinal_sliding_window val_loss:2.3 val_bpb:1.35 eval_time:100000ms\n")
    assert (other.step, other.val_bpb) == (None, 1.35)


def test_error_is_the_first_one_and_is_gone_once_the_run_goes_on() -> None:
    crash = (
        "[rank1]: Traceback (most recent call last):\n"
        '[rank1]:   File "train_gpt.py", line 3, in main\n'
        "[rank1]:     x['lr']\n"
        "[rank1]: KeyError: 'lr'\n"
        "Traceback (most recent call last):\n"
        '  File "/usr/bin/torchrun", line 8\n'
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n"
    )
    progress = fed(upto(MARCH, "step:200") + crash)
    assert progress.error == "KeyError: 'lr'"
    assert "error: KeyError: 'lr'" in Board(["seed 1"]).line("seed 1", progress)
    progress.feed_log("step:201/20000 train_loss:2.4 train_time:20200ms\n")
    assert progress.error is None


def test_events_win_over_text() -> None:
    event = '{"t": 30.0, "event": "train", "step": 3, "iterations": 9, "train_loss": 4.5, "train_ms": 900}\n'
    progress = fed(MARCH, at=12.0)
    progress.feed(event)
    alone = Progress(elapsed=12.0)
    alone.feed(event)
    assert progress == alone
    progress.feed_log(APRIL)
    progress.finish(succeeded=False)
    assert progress == alone


@pytest.fixture(scope="module")
def held() -> dict[str, Any]:
    """The bytes that watched_memory.py has measured, by kind of garbage."""
    script = Path(__file__).with_name("watched_memory.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("garbage", ["noise", "machines", "scores", "steps", "runs", "one line"])
def test_garbage_without_end_stays_bounded(held: dict[str, Any], garbage: str) -> None:
    first, after = held[garbage]
    assert after < first + 100_000


def test_fifty_megabytes_in_one_line_and_many_are_held_in_one_line(held: dict[str, Any]) -> None:
    assert held["long lines"] < 8 * MAX_LINE_CHARS


def test_training_is_projected_from_a_log_only_as_far_as_its_own_clock() -> None:
    steps = "".join(f"step:{n}/20000 train_loss:2.5 train_time:{n * 100}ms\n" for n in range(500, 6001, 500))
    slow, policy = fed(steps), JUDGE.policy
    assert training_end(slow, policy) is None  # its clock is unknown
    assert JUDGE(slow) is None
    assert training_end(fed("Hyperparameters:\n  max_wallclock_seconds: 600\n" + steps), policy) == 600.0
    assert training_end(fed("Hyperparameters:\n  max_wallclock_seconds: 0\n" + steps), policy) == pytest.approx(2000.0)
    decision = JUDGE(fed("Hyperparameters:\n  max_wallclock_seconds: 4000.0\n" + steps))
    assert decision
    assert "training is going to take about 2,000 s" in decision.reason


def test_time_left_is_that_of_the_steps_or_of_the_programs_clock() -> None:
    progress = fed(
        "Hyperparameters:\n  max_wallclock_seconds: 600\nstep:1/1000 train_loss:6 train_time:1000ms\n", at=40.0
    )
    progress.elapsed = 60.0
    progress.feed_log("step:101/1000 train_loss:5 train_time:21000ms\n")
    assert progress.stage_left() == pytest.approx(0.2 * 899)
    progress.elapsed = 70.0
    assert progress.stage_left() == pytest.approx(0.2 * 899 - 10)
    progress.feed_log("step:102/1000 train_loss:5 train_time:590000ms\n")
    assert progress.stage_left() == pytest.approx(10.0)
    away = fed("Hyperparameters:\n  max_wallclock_seconds: 0\n" + upto(MARCH, "step:400"), at=900.0)
    assert away.stage_left() is None  # the lines came all at once: they show no pace
