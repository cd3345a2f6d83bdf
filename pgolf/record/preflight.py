"""Before a record spends hours: will it fit its limits and this disk, and does the packed file work end to end?"""

import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from pgolf.data.shards import write_shard
from pgolf.errors import BadInput, RunFailed
from pgolf.presets import as_env, config_of
from pgolf.tracks import Track
from pgolf.trainer.config import Config, Knob
from pgolf.trainer.data import load_validation, shards
from pgolf.trainer.model import GPT
from pgolf.trainer.quantize import grid

CODING_OVERHEAD = 1.0115  # the 2026-04-09 record: 15,975,300 bytes over what the formula below gives for it
GAUSSIAN_BITS = 0.5 * math.log2(2 * math.pi * math.e)  # entropy of a Gaussian in steps of its own deviation
LOG_BYTES = 20_000_000  # logs and events of a seed, generously
SPARE_BYTES = 200_000_000  # left free for everything else on this disk


def projected_bytes(config: Config) -> int:
    """Bytes of the compressed model at this size and these bit widths, if its weights are Gaussian.

    In steps of k·σ / (2^(bits−1) − 1) a Gaussian weight has ½·log2(2πe) + log2((2^(bits−1) − 1) / k) bits.
    """
    bits = 0.0
    for name, parameter in _parameters(config).items():
        if parameter.numel() <= config.passthrough_numel or min(parameter.shape) < 64:
            bits += 16 * parameter.numel()
            continue
        width, sigmas = grid(name, config)
        bits += parameter.numel() * (GAUSSIAN_BITS + math.log2((2 ** (width - 1) - 1) / sigmas))
        bits += 16 * len(parameter)  # a scale a row
    return round(bits / 8 * CODING_OVERHEAD)


def check_size(track: Track, config: Config, code_bytes: int) -> int:
    """Projected bytes of code and model; RunFailed if they are over the track's cap."""
    total, cap = code_bytes + projected_bytes(config), track.limits.artifact_bytes
    if total > cap:
        raise RunFailed(
            f"the artifact would have about {total:,} bytes, {total - cap:,} over the {cap:,} of track {track.name}; "
            "make the model smaller or its integers narrower"
        )
    return total


def check_disk(config: Config, seeds: int, folder: Path) -> None:
    """BadInput if the disk of `folder` (which need not exist) has no room for what `seeds` runs leave behind."""
    existing = next(p for p in (folder.resolve(), *folder.resolve().parents) if p.exists())
    weights = 4 * sum(p.numel() for p in _parameters(config).values())
    checkpoints = 10 * weights if config.checkpoint_every else 0  # weights, average and momenta, old and new at once
    needed = seeds * (2 * weights + checkpoints + LOG_BYTES) + SPARE_BYTES
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise BadInput(
            f"{existing}: {free / 1e9:.2f} GB free, {seeds} seeds need {needed / 1e9:.2f} GB; free some, or name a "
            "folder on another disk with --runs-dir"
        )


def _parameters(config: Config) -> dict[str, Tensor]:
    """The model's parameters by name, shapes without memory."""
    with torch.device("meta"):
        return dict(GPT(config).named_parameters())


def trial_environment(
    knobs: Mapping[str, Knob], environment: Mapping[str, str], nproc: int, folder: Path
) -> dict[str, str]:
    """What makes a seed run a trial of seconds: every stage of the pipeline on two sequences of validation text.

    `environment` is that of a real seed run. The cut-down dataset is put into `folder`.
    """
    config = config_of({**knobs, "data_dir": environment["DATA_DIR"]})
    folder.mkdir(parents=True, exist_ok=True)
    sequence = config.eval_seq_len
    write_shard(folder / "fineweb_val_000000.bin", load_validation(config)[: 2 * sequence + 1].numpy())
    for shard in shards(config, "train"):
        link = folder / shard.name
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(shard.resolve(), folder.resolve()))
    accumulated = config.grad_accum_steps or 8 // nproc
    tiny: dict[str, Knob] = {
        "datasets_dir": str(folder.resolve()),
        "iterations": 4,
        "max_wallclock_seconds": 0.0,
        "warmup_steps": 1,
        "train_log_every": 1,
        "val_loss_every": 0,
        "enable_looping_at": 0.5,
        "train_batch_tokens": nproc * accumulated * config.train_seq_len,
        "gptq_calibration_batches": nproc,
        "ttt_chunk_tokens": sequence,
    }
    return dict(environment) | as_env(tiny)
