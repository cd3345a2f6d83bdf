"""Before a record spends hours: will it fit its limits and this disk, and does the packed file work end to end?"""

import shutil
from collections.abc import Mapping
from pathlib import Path

from pgolf.audit.measures import Measure
from pgolf.data.shards import write_shard
from pgolf.describe import describe
from pgolf.errors import BadInput, RunFailed
from pgolf.files import write_atomic
from pgolf.presets import as_env, config_of
from pgolf.record.request import Request
from pgolf.trainer.config import Knob
from pgolf.trainer.data import load_validation, open_shard, shards

LOG_BYTES = 20_000_000  # logs and events of a seed, generously
TRIAL_TOKENS = 2_000_000  # of each training shard, for a trial
SPARE_BYTES = 200_000_000  # left free for everything else on this disk


def check_size(request: Request, code_bytes: int) -> int:
    """Projected bytes of code and model; RunFailed if they are over the track's cap."""
    track = request.track
    total = code_bytes + describe(request.knobs).artifact_bytes_projected
    cap = track.limits.artifact_bytes
    if Measure("code and model", "bytes", cap, total).status == "fail":
        raise RunFailed(
            f"the artifact would have about {total:,} bytes, {total - cap:,} over the {cap:,} of track {track.name}; "
            "make the model smaller or its integers narrower"
        )
    return total


def check_disk(request: Request, folder: Path) -> None:
    """BadInput if the disk of `folder` (which need not exist) has no room for what the seeds leave behind."""
    existing = next(p for p in (folder.resolve(), *folder.resolve().parents) if p.exists())
    weights, seeds = 4 * describe(request.knobs).parameters, len(request.seeds)
    checkpoints = 10 * weights if request.knobs.get("checkpoint_every") else 0  # weights, average, momenta; old and new
    needed = seeds * (2 * weights + checkpoints + LOG_BYTES) + SPARE_BYTES
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise BadInput(
            f"{existing}: {free / 1e9:.2f} GB free, {seeds} seeds need {needed / 1e9:.2f} GB; free some, or name a "
            "folder on another disk with --runs-dir"
        )


def trial_environment(
    knobs: Mapping[str, Knob], environment: Mapping[str, str], nproc: int, folder: Path
) -> dict[str, str]:
    """The environment that makes a seed run a trial of seconds: every stage, on two sequences of validation text.

    `environment` is that of a real seed run. A cut-down dataset, complete in itself, is put into `folder`, which takes
    DATA_DIR's place.
    """
    config = config_of({**knobs, "data_dir": environment["DATA_DIR"]})
    cut = config_of({**knobs, "data_dir": str(folder.resolve())})
    sequence = config.eval_seq_len
    write_atomic(Path(cut.tokenizer_path), Path(config.tokenizer_path).read_bytes())
    shards_folder = Path(cut.datasets_dir)
    shards_folder.mkdir(parents=True, exist_ok=True)
    write_shard(shards_folder / "fineweb_val_000000.bin", load_validation(config)[: 2 * sequence + 1].numpy())
    for shard in shards(config, "train")[:nproc]:
        write_shard(shards_folder / shard.name, open_shard(shard)[:TRIAL_TOKENS])
    accumulated = config.grad_accum_steps or 8 // nproc
    tiny: dict[str, Knob] = {
        "iterations": 4,
        "max_wallclock_seconds": 0.0,
        "warmup_steps": 1,
        "train_log_every": 1,
        "val_loss_every": 0,
        "enable_looping_at": 0.5,
        "train_batch_tokens": nproc * accumulated * config.train_seq_len,
        "gptq_calibration_batches": nproc,
        "ttt_chunk_tokens": sequence,
        "ttt_chunk_size": sequence,
    }
    return {**environment, "DATA_DIR": str(folder.resolve()), **as_env(tiny)}
