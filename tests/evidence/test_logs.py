"""Logs with several runs, logs of what goes wrong, events beside a log, and logs that mean harm."""

import json
import resource
import time

import pytest
from log_lines import HEAD, SCORE, STOP, TRAIN

from pgolf.errors import BadInput
from pgolf.evidence.logs import read_run, read_runs

# --- several runs in one file

PREFLIGHT = (
    "Hyperparameters:\n  seed: 1\ntrain_shards: 80\n1/20 train_loss: 9.1 train_time: 0.0m\n"
    "20/20 train_loss: 8.9 train_time: 0.0m\nTotal submission size quantized+brotli: 9000 bytes\n"
    "quantized_ttt val_loss:8.0 val_bpb:3.1 eval_time:100ms\n"
)


def test_preflight_first_real_run_last(tmp_path, read):
    run = read(PREFLIGHT + HEAD + TRAIN + STOP + SCORE)
    assert (run.seed.value, run.final.val_bpb, run.artifact_bytes) == (42, 1.08079352, None)
    first, second = read_runs(tmp_path / "train.log")
    assert (first.seed.value, first.final.val_bpb, first.steps.value) == (1, 3.1, 20)
    assert (second.seed.value, second.steps.value) == (42, 900)


def test_a_truncated_real_run_is_not_replaced_by_its_preflight(read):
    run = read(PREFLIGHT + HEAD + TRAIN + STOP)
    assert run.seed.value == 42 and run.final is None and not run.ended


def test_a_smoke_run_after_the_real_one_does_not_replace_it(read):
    assert read(HEAD + TRAIN + STOP + SCORE + PREFLIGHT).final.val_bpb == 1.08079352


def test_a_crash_before_the_real_run_is_not_its_problem(read):
    crash = HEAD + TRAIN + "Traceback (most recent call last):\n"
    assert not read(crash + HEAD + TRAIN + STOP + SCORE).problems


def test_steps_of_adaptation_are_not_a_new_run(read):
    ttt = "step:1/30 train_loss:2.9\nstep:2/30 train_loss:2.8\nlegal_ttt val_loss:2.7 val_bpb:1.05 eval_time:9s\n"
    run = read(HEAD + TRAIN + STOP + SCORE + ttt)
    assert (run.seed.value, run.final.val_bpb, run.train_seconds.value) == (42, 1.05, 588.047)


def test_a_second_process_that_only_evaluates_gives_the_score(read):
    again = "Hyperparameters:\n  seed: 42\n  ttt_epochs: 4\ntrain_shards: 0\n"
    run = read(HEAD + TRAIN + STOP + SCORE + again + "quantized_ttt val_loss:2.7 val_bpb:1.05 eval_time:9s\n")
    assert run.train_seconds.value == 588.047
    assert [s.val_bpb for s in run.stages] == [1.05] and run.eval_seconds == 9
    assert run.hyperparameters["ttt_epochs"].value == "4" and run.scored_in


# --- what goes wrong


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (HEAD + "1/9 train_loss: 9.0\n2/9 train_loss: nan\n" + SCORE, "not-finite"),
        (HEAD + TRAIN + STOP + "quantized_ttt val_loss:nan val_bpb:nan eval_time:1ms\n", "not-finite"),
        (HEAD + TRAIN + STOP + "quantized_ttt val_loss:0.0 val_bpb:0.0 eval_time:1ms\n", "not-finite"),
        (HEAD + TRAIN + "[rank3]: Traceback (most recent call last):\n", "error"),
        (HEAD + TRAIN + "torch.OutOfMemoryError: CUDA out of memory\n", "error"),
        (HEAD + TRAIN + STOP + SCORE + "ttt:start chunks=1238 ttt_lr=0.005 ttt_epochs=3\n", "unfinished"),
        (HEAD + TRAIN + STOP + "  sliding_eval [ 50.2%] 60832/121136 windows running_bpb=1.1\n", "unfinished"),
    ],
)
def test_problems(read, text, kind):
    run = read(text)
    assert [p.kind for p in run.problems] == [kind]
    assert (run.final is None) == (SCORE not in text)


# --- events.jsonl


def events(seed=42, bpb=1.080793524, steps=900, **more):
    facts = [
        {"event": "start", "config": {"seed": seed, "ttt_epochs": 3}, "world_size": 1, "torch": "2.9", "device": "cpu"},
        {"event": "data", "train_shards": 2, "val_tokens": 1000, "val_bytes": 3727, "scored_sha256": "ab" * 32},
        {"event": "model", "parameters": 10, "weights_fingerprint": "12345678"},
        {"event": "train", "step": 1, "iterations": 900, "train_loss": 9.0123456, "train_ms": 20},
        {"event": "stop", "reason": "wallclock_cap", "step": steps, "iterations": 20000, "train_ms": 588047},
        {"event": "calibration", "hessians": 67, "seconds": 12.712},
        {"event": "artifact", "model_bytes": 100, "code_bytes": 10, "total_bytes": 110, "sha256": "cd" * 32},
        {"event": "stage", "stage": "quantized_ttt", "val_loss": 2.791801911, "val_bpb": bpb, "eval_ms": 366525},
        {"event": "end"},
    ]
    return "".join(json.dumps({"t": 1.0} | f) + "\n" for f in facts)


def test_events_beside_the_log_are_preferred(tmp_path, read):
    (tmp_path / "events.jsonl").write_text(events() + '{"t": 3, "event": "sta')
    run = read(HEAD + TRAIN + STOP + SCORE)
    assert run.final.val_bpb == 1.080793524 and run.final.at.file == "events.jsonl"
    assert (run.calibration_seconds.value, run.val_bytes.value) == (12.712, 3727)
    assert (run.weights_fingerprint.value, run.artifact_sha256.value) == ("12345678", "cd" * 32)
    assert run.scored_sha256.value == "ab" * 32
    assert not run.problems and run.ended


def test_scored_tokens_are_those_that_version_0_1_called_val_sha256(tmp_path, read):
    named = [
        read(HEAD + f"val_bytes: 3727 {name}: {'ab' * 32}\n" + STOP + SCORE) for name in ("scored_sha256", "val_sha256")
    ]
    assert [run.scored_sha256.value for run in named] == ["ab" * 32] * 2
    assert all(name not in run.hyperparameters for run in named for name in ("scored_sha256", "val_sha256"))
    (tmp_path / "events.jsonl").write_text(events().replace("scored_sha256", "val_sha256"))
    assert read_run(tmp_path / "events.jsonl").scored_sha256.value == "ab" * 32


@pytest.mark.parametrize("other", [{"seed": 43}, {"bpb": 1.0807}, {"steps": 901}])
def test_events_of_another_run_are_a_problem_and_not_believed(tmp_path, read, other):
    (tmp_path / "events.jsonl").write_text(events(**other))
    run = read(HEAD + TRAIN + STOP + SCORE)
    assert run.final.val_bpb == 1.08079352 and [p.kind for p in run.problems] == ["events"]


def test_one_events_file_among_several_logs_belongs_to_its_own(tmp_path, read):
    (tmp_path / "events.jsonl").write_text(events())
    (tmp_path / "train_seed7.log").write_text(HEAD)
    other = read(HEAD.replace("42", "43") + TRAIN + STOP + SCORE, "train_seed43.log")
    assert not other.problems and other.scored_sha256 is None
    (tmp_path / "events_seed44.jsonl").write_text(events(seed=45))
    assert read(HEAD.replace("42", "44") + TRAIN + STOP + SCORE, "train_seed44.log").problems


def test_events_alone(tmp_path):
    (tmp_path / "events.jsonl").write_text(events())
    assert read_run(tmp_path / "events.jsonl").seed.value == 42


def test_a_resumed_run_is_seen_to_start_where_the_kill_has_torn_an_event(tmp_path):
    error = {"t": 9.1, "event": "error", "message": "ended by signal 15"}
    again = {"t": 0.1, "event": "start", "config": {"seed": 43}, "world_size": 1}
    torn = '{"t": 9.2, "event": "prog'
    (tmp_path / "events.jsonl").write_text(f"{events()}{json.dumps(error)}\n{torn}{json.dumps(again)}\n")
    run = read_run(tmp_path / "events.jsonl")
    assert run.seed.value == 43 and not [p for p in run.problems if p.kind == "error"]


# --- logs that mean harm


def test_a_line_of_any_length_costs_no_memory(tmp_path):
    path = tmp_path / "train.log"
    with path.open("w") as f:
        f.write(HEAD + TRAIN + STOP)
        for _ in range(300):
            f.write("x" * (1 << 20))  # one line of 300 MB
        f.write("\n" + SCORE)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run = read_run(path)
    assert run.final.at.line == 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024  # KiB


@pytest.mark.parametrize(
    "line",
    [
        "eval_time: " + "9" * 2000,
        "1/9 val_loss: " + "9" * 2000 + "x",
        "stopping_early: train_time: " + "9" * 2000 + "x",
    ],
    ids=lambda line: line[:20],
)
def test_a_line_takes_no_time(read, line):
    """A hundred lines of one kind: each of these took a minute once, where a number could be cut in many ways."""
    began = time.process_time()
    read("seed: 42\n1/9 val_loss: 2.0 val_bpb: 1.1\n" + f"{line}~\n" * 100)
    assert time.process_time() - began < 20


def test_a_log_with_very_many_steps_is_thinned_out_not_cut(read):
    steps = "".join(f"step:{i}/200000 train_loss:{9 - i / 1e5:.4f} train_time:{i}ms\n" for i in range(50_000))
    run = read(HEAD + steps + SCORE)
    assert len(run.train_curve) <= 4200
    assert [p.step for p in run.train_curve[:60]] == list(range(60)) and run.train_curve[-1].step == 49_999
    assert run.steps.value == 49_999


@pytest.mark.parametrize(
    "poison",
    [
        "\x00\x01\x02\x1b]0;title\x07 val_bpb",
        "a:b=c:" * 10_000,
        "collected in " * 5_000,
        "val_loader:tokens " * 3_000,
        "Namespace(" + "a=" * 20_000 + ")",
        "Hyperparameters: " + "[" * 60_000,
        '{"a":' * 10_000 + "}" * 10_000,
        "step:" + "9" * 5_000 + "/9 train_loss:1",
        "seed: " + "9" * 5_000,
        "Total submission size x: " + "9" * 5_000 + " bytes",
        "final val_bpb:" + "9" * 400,
        "final val_bpb:1e999",
    ],
)
def test_poisoned_lines_change_nothing(read, poison):
    run = read(HEAD + poison + "\n" + TRAIN + STOP + poison + "\n" + SCORE + poison + "\n")
    assert (run.seed.value, run.final.val_bpb, run.artifact_bytes) == (42, 1.08079352, None)


def test_words_of_a_log_come_without_control_characters(read):
    run = read("Hyperparameters:\n  seed: 1\n  name: a\x00b\u202eevil\t" + "y" * 500 + "\n" + TRAIN + SCORE)
    assert run.hyperparameters["name"].value.startswith("ab�evil y")
    assert len(run.hyperparameters["name"].value) == 200


def test_no_log(tmp_path):
    with pytest.raises(BadInput, match="missing"):
        read_run(tmp_path / "missing.log")
    (tmp_path / "notes.log").write_text("nothing of a run\n")
    assert list(read_runs(tmp_path / "notes.log")) == []
