"""`pgolf train`: one run of the unpacked trainer in the foreground, this process becoming the trainer."""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from pgolf import presets
from pgolf.data.dataset import check_case, open_dataset
from pgolf.data.pydocs import build
from pgolf.record.request import parse_overrides


def exec_trainer(
    preset: str, settings: Sequence[str], nproc: int, folder: Path | None, data_dir: Path | None
) -> NoReturn:
    """Become `python -m pgolf.trainer` (under torchrun for several ranks) in `folder`.

    The dataset is checked first; without one, pydocs is built with the preset's vocabulary. Where --set
    names the dataset itself (DATASETS_DIR, TOKENIZER_PATH), the trainer checks it.

    Raises
    ------
    BadInput : unknown preset or knob, a value that does not parse, no usable dataset.
    """
    knobs = presets.load(preset, parse_overrides(settings))
    cfg = presets.config_of(knobs)
    if "datasets_dir" not in knobs:
        made = open_dataset(data_dir, cfg.vocab_size) if data_dir else build(Path("data"), vocab_size=cfg.vocab_size)
        knobs["data_dir"] = str(check_case(made, cfg.caseops_enabled).data_dir)
    folder = folder or Path("runs") / "train" / f"{Path(preset).stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder.mkdir(parents=True, exist_ok=True)
    print(f"training in {folder}", file=sys.stderr, flush=True)
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={nproc}"] if nproc > 1 else []
    os.chdir(folder)
    os.execve(sys.executable, [sys.executable, *launcher, "-m", "pgolf.trainer"], os.environ | presets.as_env(knobs))
