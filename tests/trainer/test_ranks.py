"""Two gloo ranks under torchrun: the numbers of one rank, and what happens when one of them dies."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pgolf import trainer

DRIVER = Path(__file__).with_name("shared_batches.py")
# what two ranks halve: 8 sequences a step are 4 + 4, and a calibration batch has half of the sequences
CURVE = {"iterations": 20, "checkpoint_every": 10, "enable_looping_at": 0.5}


def torchrun(folder: Path, env: dict[str, str], program: list[str]) -> subprocess.Popen:
    with (folder / "out.txt").open("w") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", *program],
            cwd=folder,
            env=os.environ | env | {"OMP_NUM_THREADS": "1"},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def events(folder: Path, name: str) -> list[dict]:
    lines = (folder / "events.jsonl").read_text().splitlines()
    return [e for e in map(json.loads, lines) if e["event"] == name]


@pytest.fixture(scope="module")
def two_ranks(trainer_env, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    # an odd number of calibration batches: no rank may wait for another's
    process = torchrun(folder, trainer_env(**CURVE, gptq_calibration_batches=7), [str(DRIVER)])
    assert process.wait(timeout=300) == 0, (folder / "out.txt").read_text()
    return folder


@pytest.fixture(scope="module")
def one_rank(run_trainer):
    return run_trainer(**CURVE, gptq_calibration_batches=4, sliding_window_enabled=0, ttt_enabled=0)


def test_two_ranks_train_as_one(two_ranks, one_rank):
    two = [e["train_loss"] for e in events(two_ranks, "train")]
    assert len(two) == 20
    assert two == pytest.approx(one_rank.losses(), rel=1e-4)
    assert two[-1] < two[0] - 1
    assert events(two_ranks, "loop")[0]["step"] == one_rank.events("loop")[0]["step"] == 10
    for stage in ("pre-quantization post-ema", "quantized"):
        [loss] = [e["val_loss"] for e in events(two_ranks, "stage") if e["stage"] == stage]
        assert loss == pytest.approx(one_rank.stages()[stage], rel=1e-4), stage


def test_one_rank_scores_an_artifact_as_two_ranks_did(two_ranks, run_trainer):
    one = run_trainer(eval_only=two_ranks / "final_model.int6.ptz")
    assert one.code == 0, one.err
    stages = {e["stage"]: e["val_loss"] for e in events(two_ranks, "stage")}
    assert stages.pop("pre-quantization post-ema") > 0
    assert stages == pytest.approx(one.stages(), rel=1e-6)


def test_two_ranks_adapt_to_documents_in_phases_as_one(two_ranks, trainer_env, run_trainer, tmp_path):
    """The ranks score different documents, then each phase's steps are theirs together."""
    knobs = {"eval_only": two_ranks / "final_model.int6.ptz", "sliding_window_enabled": 0, "phased_ttt_enabled": 1}
    knobs |= {"ttt_eval_seq_len": 64, "ttt_chunk_size": 64, "ttt_batch_size": 1, "ttt_lora_rank": 4}
    knobs |= {"phased_ttt_prefix_docs": 10, "global_ttt_chunk_tokens": 128, "global_ttt_lr": 0.05}
    process = torchrun(tmp_path, trainer_env(**knobs), ["-m", "pgolf.trainer"])
    assert process.wait(timeout=300) == 0, (tmp_path / "out.txt").read_text()
    two = {e["stage"]: e["val_loss"] for e in events(tmp_path, "stage")}
    one = run_trainer(**knobs).stages()
    assert two == pytest.approx(one, rel=1e-6)
    still = run_trainer(**knobs | {"phased_ttt_num_phases": 0}).stages()
    assert abs(still["quantized_ttt_phased"] / one["quantized_ttt_phased"] - 1) > 1e-4


def test_two_ranks_fill_the_cap_together(trainer_env, tmp_path):
    """Every rank searches by itself: were one to measure something else, they would wait for each other for ever."""
    cap = sum(p.stat().st_size for p in Path(trainer.__path__[0]).glob("*.py")) + 70_000
    knobs = {"fit_to_cap": 1, "size_cap": cap, "size_margin": 100, "compressor": "ans", "iterations": 4}
    short = {"sliding_window_enabled": 0, "ttt_enabled": 0, "mixed_bits_enabled": 1, "lqer_enabled": 1}
    process = torchrun(tmp_path, trainer_env(**knobs, **short), ["-m", "pgolf.trainer"])
    assert process.wait(timeout=300) == 0, (tmp_path / "out.txt").read_text()
    [artifact], [fit] = events(tmp_path, "artifact"), events(tmp_path, "fit")
    assert cap - 1500 < artifact["total_bytes"] <= cap and fit["mlp_clip_sigmas"] != 12.85
    assert " bytes loss: " in (tmp_path / "out.txt").read_text()


def test_a_checkpoint_of_two_ranks_is_not_for_one(two_ranks, run_trainer):
    run = run_trainer(**CURVE, resume_from_ckpt=two_ranks / "checkpoint.pt")
    assert run.code == 2 and "number of ranks" in run.err


def test_a_killed_rank_ends_the_run_with_the_reason(trainer_env, tmp_path):
    process = torchrun(tmp_path, trainer_env(iterations=100_000), ["-m", "pgolf.trainer"])
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "events.jsonl").exists() or len(events(tmp_path, "train")) < 3:
            assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "out.txt").read_text()
            time.sleep(0.1)
        [victim] = [p for p in psutil.Process(process.pid).children() if p.environ().get("RANK") == "1"]
        victim.send_signal(signal.SIGKILL)
        assert process.wait(timeout=60) == 1
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    [error] = events(tmp_path, "error")
    assert error["message"] and f"error: {error['message']}" in next((tmp_path / "logs").glob("*.txt")).read_text()
    assert not events(tmp_path, "stage")
