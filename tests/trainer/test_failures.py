"""Runs that cannot go well: what is said, how they exit, and what stays good."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pgolf.trainer.loop import Training

UNSCORED = {"sliding_window_enabled": 0, "ttt_enabled": 0}


@pytest.fixture
def own_data(tiny_data, tmp_path) -> Path:
    """A copy of the dataset, to be damaged."""
    return Path(shutil.copytree(tiny_data.data_dir, tmp_path / "data"))


def cut_a_shard(data: Path) -> None:
    path = next(data.glob("datasets/*/*_train_000003.bin"))
    path.write_bytes(path.read_bytes()[:-100])


def wrong_magic(data: Path) -> None:
    path = next(data.glob("datasets/*/*_val_*.bin"))
    path.write_bytes(b"\0" + path.read_bytes()[1:])


def foreign_tokens(data: Path) -> None:
    path = next(data.glob("datasets/*/*_val_*.bin"))
    tokens = np.fromfile(path, dtype="<u2")
    tokens[1000] = 60_000
    tokens.tofile(path)


def no_tokenizer(data: Path) -> None:
    next(data.glob("tokenizers/*.model")).unlink()


@pytest.mark.parametrize(
    "damage, said",
    [
        (cut_a_shard, ["fineweb_train_000003.bin", "bytes"]),
        (wrong_magic, ["fineweb_val_000000.bin", "magic"]),
        (foreign_tokens, ["60000", "VOCAB_SIZE is 512"]),
        (no_tokenizer, ["no tokenizer at", "fineweb_512_bpe.model"]),
        (lambda data: shutil.rmtree(data / "datasets"), ["no fineweb_train_*.bin", "DATA_DIR"]),
    ],
    ids=["cut shard", "wrong magic", "foreign tokens", "no tokenizer", "no dataset"],
)
def test_damaged_data_is_bad_input(run_trainer, own_data, damage, said):
    damage(own_data)
    run = run_trainer(data_dir=own_data)
    assert run.code == 2
    assert all(word in run.err for word in said), run.err
    [error] = run.events("error")
    assert all(word in error["message"] for word in said) and error["message"] in run.log
    assert {p.name for p in run.folder.iterdir()} == {"logs", "events.jsonl"}


def test_another_vocabulary_is_bad_input(run_trainer, own_data):
    model = next(own_data.glob("tokenizers/*.model"))
    model.rename(model.with_name("fineweb_97_bpe.model"))
    folder = next(own_data.glob("datasets/*"))
    folder.rename(folder.with_name("fineweb10B_sp97"))
    run = run_trainer(data_dir=own_data, vocab_size=97)
    assert run.code == 2 and "VOCAB_SIZE is 97" in run.err


@pytest.mark.parametrize(
    "knobs, said",
    [
        ({"ttt_epochs": "many"}, "knob ttt_epochs: 'many' is not a valid int"),
        ({"ln_scale": "maybe"}, "knob ln_scale: 'maybe' is not a valid bool"),
        ({"dtype": "float17"}, "DTYPE float17"),
        ({"compressor": "zip"}, "zip"),
        ({"train_batch_tokens": 500}, "TRAIN_BATCH_TOKENS 500 is no multiple"),
        ({"max_wallclock_seconds": 10, "gptq_reserve_seconds": 10}, "GPTQ_RESERVE_SECONDS leaves nothing"),
        ({"eval_only": "nowhere.ptz"}, "no file nowhere.ptz"),
        ({"resume_from_ckpt": "nowhere.pt"}, "nowhere.pt"),
    ],
)
def test_knobs_that_cannot_be_used_are_bad_input(run_trainer, knobs, said):
    run = run_trainer(**knobs)
    assert run.code == 2 and said in run.err, run.err
    assert not (run.folder / "events.jsonl").exists() or not run.events("train")


def test_an_artifact_that_is_none_is_bad_input(run_trainer, tmp_path):
    (tmp_path / "noise.ptz").write_bytes(b"PK\3\4" + bytes(1000))
    run = run_trainer(eval_only=tmp_path / "noise.ptz")
    assert run.code == 2 and "not an artifact" in run.err


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_the_checkpoint_good(run_trainer, monkeypatch):
    """A learning rate that blows up from step 5 on, with a checkpoint after step 4."""
    step = Training.train_step

    def diverging(self, frac):
        self.optimizer.adam.param_groups[0]["base_lr"] = 1e30 if self.step >= 5 else 0.03
        return step(self, frac)

    monkeypatch.setattr(Training, "train_step", diverging)
    run = run_trainer(checkpoint_every=2)
    assert run.code == 1
    [error] = run.events("error")
    assert "not finite at step 7" in error["message"] and error["message"] in run.log and error["message"] in run.err
    assert [e["step"] for e in run.events("train")] == [1, 2, 3, 4, 5, 6]
    assert not run.events("stage") and not (run.folder / "final_model.int6.ptz").exists()
    state = torch.load(run.folder / "checkpoint.pt", weights_only=True)
    assert all(bank.isfinite().all() for bank in state["weights"].values())


def test_a_learning_rate_without_sense_ends_the_run(run_trainer):
    run = run_trainer(tied_embed_lr="1e30", iterations=3)
    assert run.code == 1 and "not finite" in run.log
    assert not (run.folder / "final_model.int6.ptz").exists()


def test_adaptation_that_diverges_is_no_score(run_trainer):
    run = run_trainer(iterations=2, ttt_lr="1e30", sliding_window_enabled=0)
    assert run.code == 1 and "validation loss is not finite" in run.log
    assert list(run.stages()) == ["pre-quantization post-ema", "quantized"]


def test_the_last_step_is_looked_at_before_anything_is_saved(run_trainer, monkeypatch):
    """On a GPU the gradient norm arrives a step late; the late one must still stop the run."""

    def late(self, norm):
        self.look_at_pending()
        self.pending = (norm * (float("nan") if self.step == 4 else 1), None, self.step)

    monkeypatch.setattr(Training, "check_finite", late)
    for knobs in ({"iterations": 4}, {"checkpoint_every": 4}, {"val_loss_every": 4}):
        run = run_trainer(**knobs, **UNSCORED)
        assert run.code == 1 and "not finite at step 4" in run.log, knobs
        assert not (run.folder / "checkpoint.pt").exists() and not run.events("stage")
        assert [e["step"] for e in run.events("val")] in ([], [0])


def test_an_unexpected_error_is_in_the_log_too(run_trainer, monkeypatch):
    monkeypatch.setattr(Training, "warm_up", lambda self: {}["nothing"])
    run = run_trainer(warmup_steps=1)
    assert run.code == 1 and "KeyError: 'nothing'" in run.log and "Traceback" in run.err


@pytest.mark.parametrize("limit", [3_000, 200_000], ids=["no room for the log", "no room for the checkpoint"])
def test_a_full_disk_ends_the_run_with_the_reason(trainer_env, tmp_path, limit):
    """A limit on file sizes stands in for the disk: the same OSError at the same write."""
    (tmp_path / "checkpoint.pt").write_bytes(b"an older, good one")
    done = subprocess.run(
        [sys.executable, "-m", "pgolf.trainer"],
        cwd=tmp_path,
        env=os.environ | trainer_env(checkpoint_every=4),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: OSError") and "File too large" in last, done.stderr
    assert (tmp_path / "checkpoint.pt").read_bytes() == b"an older, good one"
    assert not list(tmp_path.glob(".*.tmp")) and not list(tmp_path.glob("*.ptz"))
