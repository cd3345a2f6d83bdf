"""Candidates on real pods: a part of a run gives what the whole run would, and a hopeless one is ended and kept."""

import json
import threading

import pytest
from seconds import TINY

from pgolf.artifact import eval_knobs, evaluate_artifact, in_folder, open_artifact
from pgolf.errors import BadInput, RunFailed
from pgolf.pack import pack
from pgolf.presets import load
from pgolf.record.job import Job
from pgolf.record.programs import own_program, write_files
from pgolf.record.progress import Progress
from pgolf.record.seeds import Stopped, run_seed
from pgolf.sweep.candidates import Candidate
from pgolf.sweep.trials import Bench, hopeless

SEED = 1337
pytestmark = pytest.mark.training


def knobs(**settings):
    return Candidate(tuple(sorted((k, str(v)) for k, v in settings.items())))


@pytest.fixture(scope="module")
def bench(tmp_path_factory, tiny_data):
    folder = tmp_path_factory.mktemp("sweep")
    program = own_program(pack(load(str(TINY / "tiny.toml"))).code, "tiny", {})
    write_files(program, folder)
    environment = {"DATA_DIR": str(tiny_data.data_dir), "OMP_NUM_THREADS": "1"}
    bench = Bench(folder, program, environment, nproc=1, eval_limit=20.0)
    bench.run(Candidate(), SEED)
    return bench


def whole_run(bench, candidate):
    """(val_bpb, bytes) of the same knobs in a run of its own, from nothing."""
    environment = {**bench.environment, **{k.upper(): v for k, v in candidate.settings}}
    job = Job("whole", bench.folder / "whole" / candidate.key, bench.program, bench.folder, environment)
    folder = run_seed(job, SEED, threading.Event()).folder
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    size = next(e["total_bytes"] for e in events if e["event"] == "artifact")
    return [e["val_bpb"] for e in events if e["event"] == "stage"][-1], size


def test_a_part_of_a_run_gives_what_the_whole_run_gives(bench):
    candidate = knobs(matrix_clip_sigmas=7.0, ttt_epochs=2)
    assert candidate.needs == "checkpoint"
    trial = bench.run(candidate, SEED)
    bpb, size = whole_run(bench, candidate)
    assert trial.val_bpb == pytest.approx(bpb, abs=1e-8) and trial.artifact_bytes == size
    base = bench.known(Candidate(), SEED)
    assert trial.val_bpb != base.val_bpb and trial.scored_sha256 == base.scored_sha256
    log = (bench.folder / trial.folder / "train.log").read_text()
    assert "train_loss" not in log, "nothing is trained again"
    assert not list((bench.folder / trial.folder).glob("given.pt"))


def test_an_artifact_gets_the_score_that_the_evaluator_gives(bench, tiny_data):
    candidate = knobs(ttt_lr=0.02, ttt_epochs=2)
    assert candidate.needs == "artifact"
    trial = bench.run(candidate, SEED)
    settings = {"ttt_chunk_tokens": str(load(str(TINY / "tiny.toml"))["ttt_chunk_tokens"]), **dict(candidate.settings)}
    artifact = bench.folder / "base" / str(SEED) / "attempt-1" / "final_model.int6.ptz"
    opened = in_folder(open_artifact(artifact, eval_knobs(None, settings, "cpu")), tiny_data.data_dir)
    assert trial.val_bpb == pytest.approx(evaluate_artifact(opened, "ttt").val_bpb, abs=1e-6)
    assert "train_loss" not in (bench.folder / trial.folder / "train.log").read_text(), "nothing is trained again"


def test_a_hopeless_candidate_is_ended_and_not_tried_again(bench):
    bench.eval_limit = limit = 3 * bench.known(Candidate(), SEED).eval_seconds  # the base has one epoch, not 200
    trial = bench.run(knobs(ttt_epochs=200, ttt_chunk_tokens=256), SEED)
    assert trial.state == "stopped" and f"the limit is {limit:g} s" in trial.reason and trial.val_bpb is None
    pod = next((bench.folder / "trials").rglob("exit.json"))
    before = pod.stat().st_mtime_ns
    assert bench.run(trial.candidate, SEED) == trial and pod.stat().st_mtime_ns == before


def test_a_candidate_that_fails_is_kept_with_its_reason(bench):
    trial = bench.run(knobs(eval_stride=1000), SEED)
    assert trial.state == "failed" and trial.reason and trial in bench.all_known()


def test_a_base_that_fails_is_no_result(bench, tmp_path):
    write_files(bench.program, tmp_path)
    other = Bench(tmp_path, bench.program, {**bench.environment, "DATA_DIR": "/nowhere"}, nproc=1)
    with pytest.raises(RunFailed, match="/nowhere"):
        other.run(Candidate(), SEED)
    assert other.all_known() == []


def test_a_sweep_that_is_being_stopped_starts_nothing(bench):
    bench.stop.set()
    try:
        with pytest.raises(Stopped, match="not started"):
            bench.run(knobs(ttt_lr=0.3), SEED)
    finally:
        bench.stop.clear()
    assert bench.known(knobs(ttt_lr=0.3), SEED) is None
    assert not list((bench.folder / "trials" / knobs(ttt_lr=0.3).key).rglob("pod.json"))


def test_only_what_is_plain_counts_as_hopeless():
    def at(stage, done, total, heard, **begun):
        return Progress(stage=stage, done=done, total=total, heard=heard, begun=begun)

    training = at("train", 1, 100, 1000.0, train=0.0)
    assert hopeless(training, 600.0) is None, "training is on another clock"
    early = at("quantized_ttt", 1, 1000, 150.0, quantized=100.0, quantized_ttt=149.0)
    assert hopeless(early, 600.0) is None, "less than a tenth of the limit has gone by"
    plain = at("quantized_ttt", 10, 100, 300.0, quantized=100.0, quantized_ttt=200.0)
    assert hopeless(plain, 600.0) == pytest.approx(100 + 1000)
    near = at("quantized_ttt", 50, 100, 440.0, quantized=100.0, quantized_ttt=180.0)
    assert hopeless(near, 600.0) is None, "580 expected is 20 below"
    over = at("quantized_ttt", 99, 100, 705.0, quantized=100.0, quantized_ttt=180.0)
    assert hopeless(over, 600.0) is not None, "more is spent than there was"


@pytest.mark.parametrize(
    "text", ["", "[]", "[" * 100_000, '{"settings": {}, "seed": 1, "state": "good", "folder": ""}']
)
def test_a_result_that_no_trial_has_left(tmp_path, text):
    bench = Bench(tmp_path, None, {}, 1, None)
    path = tmp_path / "trials" / "base" / "42.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    for read in (lambda: bench.known(Candidate(), 42), bench.all_known):
        with pytest.raises(BadInput, match=r"42\.json: "):
            read()
