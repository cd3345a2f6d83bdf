"""Models trained once for `artifact.py`, kept under build/artifact, and what quantising them needs to know."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, redirect_stdout
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from pgolf import presets
from pgolf.data.pydocs import build
from pgolf.evidence.event_schema import Stop, Train, read_event_lines
from pgolf.trainer.__main__ import build_model
from pgolf.trainer.config import Config, Knob
from pgolf.trainer.data import Loader
from pgolf.trainer.loop import TrainerRun, Training, write_atomic
from pgolf.trainer.mixed_bits import Probe
from pgolf.trainer.model import GPT
from pgolf.trainer.quantize import Hessians

BUILD = Path(__file__).resolve().parents[1] / "build" / "artifact"
QUICK = {"val_loss_every": 0, "seed": 42}
# pr1493 on a schedule of steps; rates that a short run wants, as in the preset `smoke`
FULL = {
    "max_wallclock_seconds": 0.0, "warmup_steps": 0, "train_batch_tokens": 2048, "train_seq_len": 512,
    "eval_seq_len": 512, "rope_train_seq_len": 512, "grad_accum_steps": 1, "dtype": "bfloat16", "matrix_lr": 0.04,
    "ema_decay": 0.97, "muon_momentum_warmup_steps": 60, "gptq_calibration_batches": 16, "train_log_every": 10,
    "checkpoint_every": 40,
}  # fmt: skip
FIXED_SPLIT = ("mixed_bits_enabled", "matrix_clip_sigmas", "embed_clip_sigmas")  # smoke sets other values
FULL_ON_GPU = {k: v for k, v in FULL.items() if "seq_len" not in k} | {"train_batch_tokens": 98304}


def cpu(f: Callable):
    """(CPU seconds, result) of a call."""
    started = time.process_time()
    result = f()
    return time.process_time() - started, result


def trained(size: str, steps: int, device: str) -> tuple[Config, GPT, dict]:
    """The config and model of that size, from build/artifact or trained now, and facts of the training."""
    full, on_gpu = size == "full", device == "cuda"
    knobs = presets.load("smoke") | {k: getattr(Config, k) for k in FIXED_SPLIT}
    if full:
        knobs = presets.load("pr1493") | (FULL_ON_GPU if on_gpu else FULL) | {"iterations": steps}
    dataset = build(BUILD if full else BUILD.parent / "data", vocab_size=int(knobs["vocab_size"]))
    knobs |= QUICK | {"data_dir": str(dataset.data_dir), "run_id": size, "device": device}
    folder = BUILD / ("on-gpu" if on_gpu else "") / (f"full-{steps}" if full else "smoke")
    if not (folder / "final_model.pt").exists():
        shorter = [n for n in steps_kept() if n < steps] if full and not on_gpu else []
        start = BUILD / f"full-{max(shorter)}" / "checkpoint.pt" if shorter else Path()
        print(f"training {size} in {folder}", file=sys.stderr)
        folder.mkdir(parents=True, exist_ok=True)
        train_in(folder, knobs, start)
    cfg = presets.config_of(knobs | {"dtype": "float32"})
    model = GPT(cfg)
    model.load_state_dict(torch.load(folder / "final_model.pt", weights_only=True, map_location="cpu"))
    model.to(device).looping = True
    events = [event for _, event in read_event_lines(folder / "events.jsonl")]
    stop = next(e for e in events if isinstance(e, Stop))
    last = [e for e in events if isinstance(e, Train)][-1]
    facts = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": stop.step,
        "train_tokens": stop.step * cfg.train_batch_tokens,
        "train_seconds": stop.train_ms / 1000,
        "train_loss": last.train_loss,
    }
    return cfg, model, facts


def steps_kept() -> list[int]:
    """Steps of the finished trainings of the full size under build/artifact."""
    return [int(path.parent.name.removeprefix("full-")) for path in BUILD.glob("full-*/final_model.pt")]


def train_in(folder: Path, knobs: dict[str, Knob], start: Path) -> None:
    """Train as the trainer does, from the folder's checkpoint or from `start` if there is one, and keep the averaged
    weights; nothing is scored."""
    with chdir(folder), redirect_stdout(sys.stderr):
        resume = next((str(p) for p in (Path("checkpoint.pt"), start) if p.is_file()), "")
        cfg = presets.config_of(knobs | {"resume_from_ckpt": resume})
        run = TrainerRun(cfg)
        run.event("start", config=asdict(cfg), world_size=1, code_bytes=0)
        training = Training(run, build_model(run))
        training.train(lambda: (math.nan, math.nan))
        training.ema.apply()
        write_atomic(Path("final_model.pt"), lambda f: torch.save(training.raw.state_dict(), f))


def calibration_text(cfg: Config, batches: int) -> Iterator[Tensor]:
    """The first batches that the trainer calibrates on."""
    loader = Loader(cfg, 0, 1, cfg.train_batch_tokens // cfg.train_seq_len, torch.device(cfg.device))
    for _ in range(batches):
        yield loader.next()[0]


def hessians_of(cfg: Config, model: GPT) -> dict[str, Tensor]:
    """The Hessians of the model, from all calibration batches."""
    hessians = Hessians(model)
    with torch.no_grad():
        for x in calibration_text(cfg, cfg.gptq_calibration_batches):
            model(x)
    return hessians.finish(1)


def sensitivities_of(cfg: Config, model: GPT, hessians: dict[str, Tensor]) -> dict[str, Tensor]:
    """How sensitive each row is, for MIXED_BITS, on the same batches."""
    torch.manual_seed(cfg.seed)
    probe = Probe(model)
    for x in calibration_text(cfg, cfg.gptq_calibration_batches):
        probe(x)
    return probe.finish(hessians, cfg.gptq_damp, 1)
