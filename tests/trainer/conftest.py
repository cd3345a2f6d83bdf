"""Fixtures of the trainer's tests: small configurations, models without a zero in them, and whole runs."""

import json
import os
import signal
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest
import torch

import pgolf.trainer.__main__ as entry
from pgolf.artifact import denormals_flushed
from pgolf.data.dataset import Dataset
from pgolf.trainer.config import Config
from pgolf.trainer.model import GPT

# a model that trains in a second, whose every mechanism is on: loops from the first third, gates, parallel blocks
TINY = {
    "num_layers": 4,
    "model_dim": 64,
    "num_heads": 4,
    "num_kv_heads": 2,
    "mlp_mult": 2,
    "rope_dims": 8,
    "loop_start": 1,
    "loop_end": 2,
    "num_loops": 2,
    "parallel_residual_start": 2,
    "xsa_last_n": 3,
    "attn_out_gate_enabled": 1,
    "train_seq_len": 64,
    "eval_seq_len": 64,
    "rope_train_seq_len": 64,
    "eval_stride": 32,
    "train_batch_tokens": 512,
    "grad_accum_steps": 1,
    "iterations": 12,
    "max_wallclock_seconds": 0,
    "train_log_every": 1,
    "val_loss_every": 0,
    "warmup_steps": 0,
    "muon_momentum_warmup_steps": 8,
    "ema_decay": 0.8,
    "gptq_calibration_batches": 4,
    "passthrough_numel": 512,
    "ttt_chunk_tokens": 1024,
    "ttt_epochs": 1,
    "cpu_threads": 1,
}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def tiny_config(**knobs) -> Config:
    """TINY with `knobs` on top, as a Config of 97 tokens that needs no files."""
    typed = {k: Config.__dataclass_fields__[k].type(v) for k, v in (TINY | knobs).items()}
    return Config(**({"vocab_size": 97} | typed))


@pytest.fixture
def config() -> Callable[..., Config]:
    return tiny_config


@pytest.fixture
def model_of() -> Callable[..., GPT]:
    """A model with every parameter random, so that no zero-initialised branch, gate or skip hides a mistake."""

    def make(cfg: Config, seed: int = 0, looping: bool = False) -> GPT:
        torch.manual_seed(seed)
        model = GPT(cfg)
        with torch.no_grad():
            for name, p in model.named_parameters():
                matrix = p.ndim == 2 and p.shape[0] > 2 and not name.startswith("skip")
                p.add_(torch.randn(p.shape) * (p.shape[-1] ** -0.5 if matrix else 0.3))
        model.looping = looping
        return model

    return make


@dataclass
class Finished:
    """What a run left behind."""

    folder: Path
    code: int
    out: str
    err: str

    @property
    def log(self) -> str:
        return next((self.folder / "logs").glob("*.txt")).read_text()

    def events(self, name: str) -> list[dict]:
        lines = (self.folder / "events.jsonl").read_text().splitlines()
        return [e for e in map(json.loads, lines) if e["event"] == name]

    def losses(self) -> list[float]:
        return [e["train_loss"] for e in self.events("train")]

    def stages(self) -> dict[str, float]:
        return {e["stage"]: e["val_loss"] for e in self.events("stage")}


@pytest.fixture(scope="session")
def trainer_env(tiny_data: Dataset) -> Callable[..., dict[str, str]]:
    """The environment of a tiny run on real text."""

    def make(**knobs) -> dict[str, str]:
        knobs = TINY | {"data_dir": tiny_data.data_dir, "vocab_size": tiny_data.vocab_size, "seed": 1} | knobs
        return {k.upper(): str(v) for k, v in knobs.items()}

    return make


@pytest.fixture(scope="session")
def run_trainer(trainer_env, tmp_path_factory) -> Callable[..., Finished]:
    """Run the trainer's main() in this process, in a fresh folder (or `folder`), and gather what it left."""

    def run(folder: Path | None = None, **knobs) -> Finished:
        folder = folder or tmp_path_factory.mktemp("run")
        out, err, handler = StringIO(), StringIO(), signal.getsignal(signal.SIGTERM)
        try:
            environment = patch.dict(os.environ, trainer_env(**knobs))
            with environment, chdir(folder), redirect_stdout(out), redirect_stderr(err), denormals_flushed():
                code = entry.main()
        finally:
            signal.signal(signal.SIGTERM, handler)
        return Finished(folder, code, out.getvalue(), err.getvalue())

    return run
