"""`pgolf train`: one run of the unpacked trainer in the foreground, this process becoming the trainer.

The packed file of the same knobs is written beside it: its size is the one that counts. A run that this machine cannot
do in its time is refused before anything is read or written.
"""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import torch

from pgolf import presets
from pgolf.data.dataset import check_case, check_documents, check_named, check_shares, open_dataset
from pgolf.data.leak import KEPT_FROM
from pgolf.data.present import find_dataset
from pgolf.data.pydocs import build
from pgolf.describe import describe
from pgolf.errors import BadInput
from pgolf.files import write_atomic
from pgolf.pack.kept import packed
from pgolf.phrases import counted
from pgolf.record.request import parse_overrides
from pgolf.trainer.config import Config, Knob, config_from_env
from pgolf.unpacked import PACKED

PER_CORE = 1e11  # floating-point operations a second: more than a training gets out of any core
LONG = 600.0  # seconds of training that a user should know of before it begins


def exec_trainer(
    preset: str, settings: Sequence[str], nproc: int, folder: Path | None, data_dir: Path | None
) -> NoReturn:
    """Become `python -m pgolf.trainer` (under torchrun for several ranks) in `folder`.

    The dataset is checked first; without one, pydocs is built with the preset's vocabulary. Where --set names the
    dataset itself (DATASETS_DIR, TOKENIZER_PATH), it is only checked that its bytes can be counted and that it shows
    where documents begin, if knobs need that; the trainer checks the rest.

    Raises
    ------
    BadInput : unknown preset or knob, a value that does not parse, no usable dataset, ranks that neither the batch nor
        the training files can be shared out over.
    """
    knobs = presets.load(preset, parse_overrides(settings))
    cfg, own = presets.config_of(knobs), dict(knobs)
    long = _check_pace(own, _config(os.environ | presets.as_env(knobs)), preset)
    if "datasets_dir" not in knobs:
        size = cfg.vocab_size
        found = find_dataset(data_dir, size, cfg.caseops_enabled) if data_dir else None
        made = open_dataset(found, size, _tell) if found else build(Path("data"), vocab_size=size)
        knobs["data_dir"] = str(check_documents(check_case(made, cfg.caseops_enabled), cfg).data_dir)
    else:
        check_named(cfg)
    environment = os.environ | presets.as_env(knobs)
    _check_ranks(environment, nproc, preset)
    folder = folder or Path("runs") / "train" / f"{Path(preset).stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    write_atomic(folder / PACKED, packed(own))
    print(f"training in {folder}{long}", file=sys.stderr, flush=True)
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={nproc}"] if nproc > 1 else []
    os.chdir(folder)
    os.execve(sys.executable, [sys.executable, *launcher, "-m", "pgolf.unpacked"], environment)


def _tell(what: str, done: int, total: int) -> None:
    """Say what takes minutes, as it begins."""
    if done == 0 and total >= KEPT_FROM:
        print(f"data: {what}", file=sys.stderr, flush=True)


def _check_ranks(environment: Mapping[str, str], nproc: int, preset: str) -> None:
    """BadInput if the trainer would refuse so many ranks, each of them with a traceback of its own."""
    config = _config(environment)
    if config.eval_only:
        return
    presets.check_ranks(config, nproc, preset)
    check_shares(config, nproc)
    if config.device != "cpu" and torch.cuda.is_available() and nproc > torch.cuda.device_count():
        raise BadInput(
            f"--nproc {nproc}: this machine has {counted(torch.cuda.device_count(), 'GPU')}; take as many ranks or "
            "fewer"
        )


def _config(environment: Mapping[str, str]) -> Config:
    try:
        return config_from_env(environment)
    except ValueError as e:
        raise BadInput(f"the environment: {e}") from None


def _check_pace(knobs: Mapping[str, Knob], config: Config, preset: str) -> str:
    """BadInput if there is no GPU here and one step takes longer than the whole training may; else words on how long
    the training takes, if that is long."""
    if config.eval_only or torch.cuda.is_available():
        return ""
    tokens, cap = config.train_batch_tokens, config.max_wallclock_seconds
    step = describe(knobs).flops_per_token * tokens / (PER_CORE * len(os.sched_getaffinity(0)))
    if step > cap > 0:
        raise BadInput(
            f"--preset {preset} is for GPUs, and this machine has none: a step of {tokens:,} tokens takes at least "
            f"{_long(step)} here, and MAX_WALLCLOCK_SECONDS ends the training after {cap:.0f} s; take --preset smoke, "
            "or a smaller TRAIN_BATCH_TOKENS and model, or rent GPUs (docs/runpod.md); --set MAX_WALLCLOCK_SECONDS=0 "
            "trains it here all the same"
        )
    if (whole := step * config.iterations) <= LONG or 0 < cap <= LONG:
        return ""
    ends = f", but MAX_WALLCLOCK_SECONDS ends it after {_long(cap)}" if cap else ""
    return f"; without a GPU, {config.iterations:,} steps take at least {_long(whole)}{ends}, and evaluation comes then"


def _long(seconds: float) -> str:
    """In the unit that people would take: '40 s', '12 min', '3.9 h', '31 days'."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:.0f} s"
