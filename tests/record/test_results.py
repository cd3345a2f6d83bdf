"""What an attempt has left, judged: of two real trainers, and of a program that misbehaves in every way."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pgolf.data.dataset import Dataset
from pgolf.errors import RunFailed
from pgolf.evidence.logs import read_run
from pgolf.pods import Status
from pgolf.pods.local import LocalPod
from pgolf.program import Program
from pgolf.record import results
from pgolf.record.results import Result, read_result, refuse, report_of_trial, settle

PROGRAMS = Path(__file__).parents[1] / "programs"
OURS = Path(__file__).parents[1] / "recorded" / "new"  # runs of pgolf's trainer
RECORDS = Path(__file__).parents[2].parent / "shared" / "public-records"
HONEST = Result("train.log", "final_model.int8.ptz", None)


def program(*paths: Path, **changed) -> Program:
    files = {p.name: p.read_bytes() for p in paths}
    script = "train_gpt.py" if "train_gpt.py" in files else paths[0].name
    return Program("theirs", False, files, script, tuple(files), **changed)


BAD = program(PROGRAMS / "bad.py")


def run(what: Program, folder: Path, seed: int, nproc: int = 0, **environment: str) -> Path:
    """Run a program as a pod does, in an attempt's folder; `nproc` 0: plainly, for a program without ranks."""
    attempt = folder / str(seed) / "attempt-1"
    attempt.mkdir(parents=True)
    for name, content in what.files.items():
        (attempt / name).write_bytes(content)
    words = what.start(nproc) if nproc else ["python", what.script]
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "TMPDIR")}
    given = {"SEED": str(seed), "RUN_ID": f"seed{seed}", "OMP_NUM_THREADS": "1", **environment}
    with (attempt / "train.log").open("wb") as out:
        subprocess.run([sys.executable, *words[1:]], cwd=attempt, env=kept | given, stdout=out, stderr=out, check=True)
    return attempt


def misbehave(tmp_path: Path, mischief: str, seed: int = 3, **environment: str) -> Path:
    return run(BAD, tmp_path, seed, MISCHIEF=mischief, **environment)


def judged_twice(attempt: Path, what: Program, seed: int) -> Result:
    """The result, which is the same when it is read again, and when the files are judged again."""
    result = settle(attempt, what, seed)
    assert settle(attempt, what, seed) == read_result(attempt) == result
    (attempt / "result.json").unlink()
    assert settle(attempt, what, seed) == result
    return result


@pytest.mark.training
def test_a_trainer_of_march(tiny_data: Dataset, tmp_path):
    march = program(PROGRAMS / "march" / "train_gpt.py")
    where = {
        "DATA_PATH": f"{tiny_data.data_dir}/datasets/fineweb10B_sp512",
        "TOKENIZER_PATH": f"{tiny_data.data_dir}/tokenizers/fineweb_512_bpe.model",
    }
    attempt = run(march, tmp_path, 7, 2, ITERATIONS="25", VAL_LOSS_EVERY="20", **where)
    result = judged_twice(attempt, march, 7)
    assert result == Result("logs/seed7.txt", "final_model.int8.ptz", None)  # standard output has no seed
    assert report_of_trial(attempt, march) == []
    told = read_run(attempt / result.log)
    assert told.final and told.final.name == "final_int8_zlib_roundtrip_exact"
    assert told.seed and told.seed.value == 7
    assert told.steps and told.steps.value == 25
    assert told.model_bytes and told.model_bytes.value == (attempt / "final_model.int8.ptz").stat().st_size
    assert told.code_bytes and told.code_bytes.value == march.code_bytes
    assert told.train_seconds and told.eval_seconds
    assert told.hyperparameters["train_seq_len"].value == "128"
    assert told.bytes_per_token == pytest.approx(tiny_data.val_bytes / (tiny_data.val_tokens - 1), rel=1e-6)
    assert told.final.val_bpb < 0.95 * told.val_curve[0].loss / 0.6931 / told.bytes_per_token  # it has learned


@pytest.mark.training
def test_a_trainer_of_april_that_keeps_to_its_clock(tiny_data: Dataset, tmp_path):
    files = [PROGRAMS / "april" / name for name in ("train_gpt.py", "window_lm.py", "requirements.txt")]
    april = program(*files)
    where = {"DATA_DIR": str(tiny_data.data_dir), "VOCAB_SIZE": "512"}
    attempt = run(april, tmp_path, 8, 2, ITERATIONS="100000", MAX_WALLCLOCK_SECONDS="1", **where)
    result = judged_twice(attempt, april, 8)
    assert result == Result("train.log", "final_model.int6.ptz", None)
    assert report_of_trial(attempt, april) == []
    told = read_run(attempt / result.log)
    assert [s.name for s in told.stages] == ["pre-quantization", "quantized", "quantized_ttt"]
    assert told.seed and told.seed.value == 8
    assert told.train_seconds
    stopped = (attempt / result.log).read_text().splitlines()[told.train_seconds.at.line - 1]
    assert f"wallclock_cap train_time: {1000 * told.train_seconds.value:.0f}ms" in stopped
    assert told.steps and told.steps.value < 100000
    assert told.model_bytes and told.model_bytes.value == (attempt / "final_model.int6.ptz").stat().st_size
    assert told.hyperparameters["max_wallclock_seconds"].value == "1.0"
    assert told.bytes_per_token == pytest.approx(tiny_data.val_bytes / (tiny_data.val_tokens - 1), rel=1e-6)


def test_an_honest_program_without_ranks(tmp_path):
    attempt = misbehave(tmp_path, "")
    assert judged_twice(attempt, BAD, 3) == HONEST
    assert report_of_trial(attempt, BAD) == []


@pytest.mark.parametrize(
    ("mischief", "words"),
    [
        ("no_score", "no final score can be read in train.log; the last lines that look like one: train.log:8: 'step"),
        ("two_scores", "more than one result: val_bpb 1.90300000 in train.log:13, val_bpb 1.70000000 in train.log:15"),
        (
            "nan",
            "train.log:13: the score is not a finite number above 0: 'final_int8_zlib_roundtrip_exact val_loss:nan",
        ),
        ("no_artifact", "no artifact: no file final_model.*.ptz or *.ptz"),
        ("other_seed", "train.log:2: the log is of seed 4, the program was given 3"),
        ("link", "final_model.int8.ptz is a link"),
        ("folder", "final_model.int8.ptz is a folder"),
        ("pipe", "final_model.int8.ptz is a pipe"),
        ("empty", "final_model.int8.ptz is empty"),
        ("two_artifacts", "2 files fit final_model.*.ptz: final_model.int6.ptz, final_model.int8.ptz"),
        (
            "contradiction",
            "different final scores: val_bpb 1.91000000 in train.log:13, val_bpb 1.71000000 in logs/seed3.txt:13",
        ),
        ("several_runs", "more than one result: val_bpb 1.91000000 in train.log:13, val_bpb 1.92000000 in train.log"),
    ],
)
def test_mischief_is_no_result(mischief, words, tmp_path):
    result = judged_twice(misbehave(tmp_path, mischief), BAD, 3)
    assert result.artifact is None
    assert result.refused and words in result.refused


def test_a_long_log_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "LOG_MOST", 1 << 20)
    attempt = misbehave(tmp_path, "long_log", LOG_BYTES="1500000")
    refused = judged_twice(attempt, BAD, 3).refused
    assert refused and refused.startswith("the log train.log has 1,")


def test_binary_garbage_after_a_result_hides_nothing(tmp_path):
    assert judged_twice(misbehave(tmp_path, "garbage"), BAD, 3) == HONEST


def test_what_a_program_leaves_running_does_not_spoil_its_result(tmp_path):
    attempt = tmp_path / "3" / "attempt-1"
    pod = on_a_pod(attempt, "orphan")
    try:
        assert ended(pod).exit_code == 0
        assert settle(attempt, BAD, 3) == HONEST
    finally:
        pod.kill()


def test_a_program_that_never_ends_is_refused_before_it_is_ended(tmp_path):
    attempt = tmp_path / "3" / "attempt-1"
    pod = on_a_pod(attempt, "endless")
    try:
        wait_for(lambda: "roundtrip_exact" in pod.output(0)[0])
        assert pod.status().state == "running"
        refuse(attempt, "it ran past its time")
    finally:
        pod.kill()
    assert ended(pod).interrupted
    assert settle(attempt, BAD, 3).refused == "it ran past its time"


def on_a_pod(attempt: Path, mischief: str) -> LocalPod:
    pod = LocalPod(attempt)
    pod.put(PROGRAMS / "bad.py", "bad.py")
    pod.start(["python", "bad.py"], {"SEED": "3", "RUN_ID": "seed3", "MISCHIEF": mischief})
    return pod


def ended(pod: LocalPod) -> Status:
    wait_for(lambda: pod.status().state != "running")
    return pod.status()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("folder", sorted(OURS.iterdir()), ids=lambda p: p.name)
def test_a_run_of_our_trainer(folder, tmp_path):
    attempt = tmp_path / folder.name / "attempt-1"
    shutil.copytree(folder, attempt)
    (attempt / "final_model.int6.ptz").write_bytes(b"x")
    (attempt / "other.ptz").write_bytes(b"x")
    ours = Program("ours", True, {"train_gpt.py": b""}, "train_gpt.py", ("train_gpt.py",), events=True)
    assert judged_twice(attempt, ours, int(folder.name)) == Result("train.log", "final_model.int6.ptz", None)
    assert report_of_trial(attempt, ours) == []
    (attempt / "result.json").unlink()
    refused = settle(attempt, ours, 1).refused
    assert refused and f"the log is of seed {folder.name}, the program was given 1" in refused


# --- which log counts
def test_the_file_that_the_program_names_counts(tmp_path):
    attempt = misbehave(tmp_path, "contradiction")
    named = program(PROGRAMS / "bad.py", log="logs/{run_id}.txt")
    assert settle(attempt, named, 3) == Result("logs/seed3.txt", "final_model.int8.ptz", None)


def test_a_named_log_that_is_missing_is_not_replaced(tmp_path):
    attempt = misbehave(tmp_path, "")
    refused = settle(attempt, program(PROGRAMS / "bad.py", log="out/log.txt"), 3).refused
    assert refused == "there is no log to read: out/log.txt is missing"


def test_a_log_that_says_more_counts(tmp_path):
    attempt = misbehave(tmp_path, "")
    full = (attempt / "train.log").read_text()
    (attempt / "logs" / "seed3.txt").rename(attempt / "logs" / "2026-04-09_mine.txt")  # the only one in logs/
    (attempt / "train.log").write_text(full.replace("seed:3\n", "").replace("val_bpb:1.90300000", "val_bpb:1.90"))
    assert settle(attempt, BAD, 3).log == "logs/2026-04-09_mine.txt"


def test_a_log_that_goes_on_with_another_pass_does_not_contradict(tmp_path):
    attempt = misbehave(tmp_path, "")
    with (attempt / "logs" / "seed3.txt").open("a") as f:
        f.write("final_ttt val_loss:2.1 val_bpb:1.8 eval_time:20ms\n")
    assert settle(attempt, BAD, 3) == Result("logs/seed3.txt", "final_model.int8.ptz", None)


@pytest.mark.parametrize("mischief", ["link", "long"])
def test_events_of_a_stranger_are_checked_before_they_are_read(mischief, tmp_path, monkeypatch):
    attempt = misbehave(tmp_path, "")
    events, outside = attempt / "events.jsonl", tmp_path / "outside.jsonl"
    outside.write_text('{"event": "start"}\n' * 1000)
    if mischief == "link":
        events.symlink_to(outside)
    else:
        shutil.copy(outside, events)
        monkeypatch.setattr(results, "LOG_MOST", 10_000)
    refused = settle(attempt, BAD, 3).refused
    assert refused and refused.startswith("the events events.jsonl beside the log: it ")


def test_a_last_pass_that_is_not_finite_spoils_the_passes_before_it(tmp_path):
    attempt = misbehave(tmp_path, "")
    with (attempt / "train.log").open("a") as f:
        f.write("final_ttt val_loss:nan val_bpb:nan eval_time:20ms\n")
    refused = settle(attempt, BAD, 3).refused
    assert refused and refused.startswith("train.log:14: the score is not a finite number above 0: 'final_ttt")


def test_a_loss_that_was_not_finite_is_left_to_the_audit(tmp_path):
    attempt = misbehave(tmp_path, "")
    log = attempt / "train.log"
    log.write_text(log.read_text().replace("train_loss:5.9970", "train_loss:nan"))
    assert "train_loss:nan" in log.read_text()
    assert settle(attempt, BAD, 3).refused is None


def test_seeds_of_two_logs_have_to_agree(tmp_path):
    attempt = misbehave(tmp_path, "")
    log = attempt / "logs" / "seed3.txt"
    log.write_text(log.read_text().replace("seed:3", "seed:5"))
    assert (
        settle(attempt, BAD, 3).refused == "two logs tell of different seeds: 3 in train.log:2, 5 in logs/seed3.txt:2"
    )


def test_a_log_without_a_seed_is_a_result(tmp_path):
    attempt = misbehave(tmp_path, "")
    for log in (attempt / "train.log", attempt / "logs" / "seed3.txt"):
        log.write_text(log.read_text().replace("seed:3\n", ""))
    assert settle(attempt, BAD, 3) == HONEST
    (report,) = report_of_trial(attempt, BAD)
    assert report == "train.log states no seed that can be read; no line looks like one"


def test_a_log_written_twice_over_is_one_result(tmp_path):
    attempt = misbehave(tmp_path, "")
    text = (attempt / "train.log").read_text()
    (attempt / "train.log").write_text(text + text)
    assert settle(attempt, BAD, 3).refused is None


@pytest.mark.parametrize("make", ["link", "pipe", "linked folder"])
def test_a_log_that_is_no_file_is_never_opened(make, tmp_path):
    attempt = misbehave(tmp_path, "contradiction")  # were it read, it would be refused
    folder, outside = attempt / "logs", tmp_path / "outside"
    shutil.move(folder, outside)
    if make == "linked folder":
        folder.symlink_to(outside)
    else:
        folder.mkdir()
        path = folder / "seed3.txt"
        path.symlink_to(outside / "seed3.txt") if make == "link" else os.mkfifo(path)
    assert settle(attempt, BAD, 3) == HONEST


@pytest.mark.skipif(not RECORDS.is_dir(), reason="no public records here")
def test_no_public_log_of_one_run_tells_of_two_results():
    logs = [p for p in RECORDS.rglob("*") if p.suffix in (".log", ".txt")]
    two = [p.name for p in logs if results._two_results(p, p.parent)]
    assert len(logs) > 40
    assert two == []


# --- which artifact
def test_a_pattern_of_the_program_decides(tmp_path):
    attempt = misbehave(tmp_path, "two_artifacts")
    named = program(PROGRAMS / "bad.py", artifact=("*.int6.ptz", "*.ptz"))
    assert settle(attempt, named, 3).artifact == "final_model.int6.ptz"


@pytest.mark.parametrize("name", ["final_model_int6.bin", "logs/seed3_model.int8.ptz", "artifact.bin.xz"])
def test_an_artifact_of_a_less_usual_name_is_found(name, tmp_path):
    attempt = misbehave(tmp_path, "honest")
    (attempt / "logs").mkdir(exist_ok=True)
    (attempt / "final_model.int8.ptz").rename(attempt / name)
    assert judged_twice(attempt, BAD, 3).artifact == name


@pytest.mark.parametrize("names", [("final_model.int5.ptz", "final_model.int6.ptz"), ("weights.dat", "notes.dat")])
def test_the_file_of_the_size_that_the_log_states_is_the_artifact(names, tmp_path):
    attempt = misbehave(tmp_path, "honest")
    (attempt / "final_model.int8.ptz").unlink()
    for name, size in zip(names, (900, 1234), strict=True):
        (attempt / name).write_bytes(bytes(size))
    with (attempt / "train.log").open("a") as log:
        log.write("Serialized model int6+zlib: 1234 bytes\n")
    assert judged_twice(attempt, BAD, 3).artifact == names[1]


@pytest.mark.parametrize("pattern", ["../*.ptz", "/etc/host*", "logs/../../*.ptz"])
def test_no_pattern_leaves_the_folder(pattern, tmp_path):
    attempt = misbehave(tmp_path, "no_artifact")
    (attempt.parent / "theirs.ptz").write_bytes(b"x")
    assert settle(attempt, program(PROGRAMS / "bad.py", artifact=(pattern,)), 3).artifact is None


def test_an_artifact_that_the_program_came_with_is_not_of_this_run(tmp_path):
    attempt = misbehave(tmp_path, "no_artifact")
    (attempt / "old.ptz").write_bytes(b"old")
    brought = Program("theirs", False, {**BAD.files, "old.ptz": b"old"}, "bad.py", ("bad.py",))
    assert settle(attempt, brought, 3).artifact is None
    (attempt / "result.json").unlink()
    (attempt / "old.ptz").write_bytes(b"new")
    assert settle(attempt, brought, 3).artifact == "old.ptz"


# --- result.json
def test_a_refusal_stands(tmp_path):
    attempt = misbehave(tmp_path, "")
    refuse(attempt, "it wrote 3 GB of log")
    assert settle(attempt, BAD, 3) == Result("train.log", None, "it wrote 3 GB of log")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[1]",
        "[" * 5000,
        '{"log": "train.log"}',
        '{"log": 3, "artifact": "x", "refused": null}',
        '{"log": "train.log", "artifact": ["x"], "refused": null}',
        '{"log": "train.log", "artifact": null, "refused": null}',
        '{"log": "train.log", "artifact": "../../../secret", "refused": null}',
        '{"log": "/etc/passwd", "artifact": "final_model.int8.ptz", "refused": null}',
        '{"log": "../../7/attempt-1/train.log", "artifact": null, "refused": "no"}',
        " " * 70_000 + '{"log": "train.log", "artifact": "bad.py", "refused": null}',
    ],
)
def test_a_broken_result_is_judged_anew(content, tmp_path):
    attempt = tmp_path / "3" / "attempt-1"
    (attempt / "logs").mkdir(parents=True)
    (attempt / "result.json").write_text(content)
    (attempt / "final_model.int8.ptz").write_bytes(b"x")
    (attempt / "train.log").write_text("seed:3\nstep:1/1 train_loss:3.0\nfinal_int8 val_loss:2.1 val_bpb:1.2000\n")
    assert read_result(attempt) is None
    assert settle(attempt, BAD, 3) == HONEST
    assert json.loads((attempt / "result.json").read_text())["log"] == "train.log"


def test_a_result_that_cannot_be_written_fails_in_a_sentence(tmp_path):
    attempt = misbehave(tmp_path, "")
    (attempt / "result.json").mkdir()
    with pytest.raises(RunFailed, match=r"cannot write .*result\.json"):
        settle(attempt, BAD, 3)


# --- before money is spent
def test_the_report_of_a_trial_names_what_cannot_be_read_and_the_nearest_lines(tmp_path):
    attempt = tmp_path / "1" / "attempt-1"
    attempt.mkdir(parents=True)
    (attempt / "train.log").write_text(
        "Using seed -> 3\nstep:1/1 train_loss:3.0\nthe score is 1.2 bits\ncode is small\n"
    )
    report = report_of_trial(attempt, BAD)
    assert [r.split(" that can be read; ")[0].removeprefix("train.log states no ") for r in report] == [
        "seed",
        "final score",
        "size of the artifact (code and model)",
        "size of the code",
        "training time",
        "evaluation time",
    ]
    assert report[0].endswith("the last lines that look like one: train.log:1: 'Using seed -> 3'")
    assert report[1].endswith("train.log:3: 'the score is 1.2 bits'")


def test_a_trial_without_a_log_is_reported(tmp_path):
    (said,) = report_of_trial(tmp_path, BAD)
    assert said.startswith("there is no log to read: train.log is missing")
