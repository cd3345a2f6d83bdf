"""Make a machine ready for trainers: check it by `runpod/bootstrap.sh`, put the agent and the dataset on it.

A second call only looks. A machine that fails a check raises Unfit, which says what is wrong with it.
"""

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import Any

from pgolf.pods.machine import Machine, Refused, stage
from pgolf.pods.remote import DATA, Unfit
from pgolf.pods.settings import Checks

log = logging.getLogger(__name__)
INSTALLED, CHECKOUT = Path(__file__).with_name("scripts"), Path(__file__).parents[2] / "runpod"  # see setup.py
SCRIPTS = INSTALLED if INSTALLED.is_dir() else CHECKOUT
SCRIPT = PurePosixPath("bootstrap.sh")
TIMEOUT_S = 900.0  # it may install packages


@dataclass(frozen=True)
class MachineSpec:
    """The machine that a seed needs: `gpus` of one of `gpu_types`, by the names that RunPod gives them ('' is any).

    `packages` are what trainers import there, as pip takes them; a machine that lacks one is given it.
    """

    checks: Checks
    packages: tuple[str, ...]
    gpus: int = 0
    gpu_types: tuple[str, ...] = ()


def prepare(machine: Machine, wanted: MachineSpec, root: Path, files: Mapping[str, str]) -> dict[str, Any]:
    """Check a machine and put the agent and the dataset on it; return what bootstrap.sh found, by name.

    Raises
    ------
    Unfit : it is not what was asked for.
    Gone : it does not answer.
    """
    checks = wanted.checks
    machine.install()
    machine.put(SCRIPTS / SCRIPT, SCRIPT)
    settings = {
        "PYTHON": machine.python,
        "GPUS": str(wanted.gpus),
        "GPU_TYPES": "|".join(wanted.gpu_types),
        "PACKAGES": " ".join(wanted.packages),
        "MIN_FREE_GB": str(checks.min_free_gb),
        "MIN_DISK_MB_S": str(checks.min_disk_mb_s),
        "MIN_TORCH": checks.min_torch,
        "CUDA": "1" if checks.cuda else "0",
    }
    words = " ".join(f"{name}={quote(value)}" for name, value in settings.items())
    try:
        said = machine.run(f"cd {quote(str(machine.work))} && {words} bash {SCRIPT}", timeout_s=TIMEOUT_S)
    except Refused as e:
        raise Unfit(str(e)) from None
    facts: dict[str, Any] = json.loads(said.splitlines()[-1])
    began = time.time()
    skew = float(machine.run("date +%s.%N")) - began
    if not -checks.max_clock_skew_s < skew < time.time() - began + checks.max_clock_skew_s:
        raise Unfit(f"{machine.name}: its clock is {skew:.0f} s off")
    stage(machine, root, files, DATA)
    return facts
