"""`pgolf train`: one run of the unpacked trainer in the foreground, this process becoming the trainer."""

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
from pgolf.data.pydocs import build
from pgolf.errors import BadInput
from pgolf.record.request import parse_overrides
from pgolf.trainer.config import config_from_env


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
    cfg = presets.config_of(knobs)
    if "datasets_dir" not in knobs:
        size = cfg.vocab_size
        made = open_dataset(data_dir, size, _tell) if data_dir else build(Path("data"), vocab_size=size)
        knobs["data_dir"] = str(check_documents(check_case(made, cfg.caseops_enabled), cfg).data_dir)
    else:
        check_named(cfg)
    environment = os.environ | presets.as_env(knobs)
    _check_ranks(environment, nproc, preset)
    folder = folder or Path("runs") / "train" / f"{Path(preset).stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder.mkdir(parents=True, exist_ok=True)
    print(f"training in {folder}", file=sys.stderr, flush=True)
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={nproc}"] if nproc > 1 else []
    os.chdir(folder)
    os.execve(sys.executable, [sys.executable, *launcher, "-m", "pgolf.trainer"], environment)


def _tell(what: str, done: int, total: int) -> None:
    """Say what takes minutes, as it begins."""
    if done == 0 and total >= KEPT_FROM:
        print(f"data: {what}", file=sys.stderr, flush=True)


def _check_ranks(environment: Mapping[str, str], nproc: int, preset: str) -> None:
    """BadInput if the trainer would refuse so many ranks, each of them with a traceback of its own."""
    try:
        config = config_from_env(environment)
    except ValueError as e:
        raise BadInput(f"the environment: {e}") from None
    if config.eval_only:
        return
    presets.check_ranks(config, nproc, preset)
    check_shares(config, nproc)
    if config.device != "cpu" and torch.cuda.is_available() and nproc > torch.cuda.device_count():
        raise BadInput(
            f"--nproc {nproc}: this machine has {torch.cuda.device_count()} GPUs; take as many ranks or fewer"
        )
