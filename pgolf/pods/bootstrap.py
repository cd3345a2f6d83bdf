"""Make a machine ready for a program: check it by `runpod/bootstrap.sh`, put the agent on it.

A second call only looks. A machine that fails a check raises Unfit, which says what is wrong with it.
"""

import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import Any

from pgolf.pods import Kind, versions
from pgolf.pods.answers import checked_facts
from pgolf.pods.machine import Machine, Refused, stage
from pgolf.pods.needs import Needs, digest
from pgolf.pods.settings import Checks
from pgolf.pods.slots import Unfit

log = logging.getLogger(__name__)
INSTALLED, CHECKOUT = Path(__file__).with_name("scripts"), Path(__file__).parents[2] / "runpod"  # see setup.py
SCRIPTS = INSTALLED if INSTALLED.is_dir() else CHECKOUT
SCRIPT, VERSIONS = PurePosixPath("bootstrap.sh"), Path(versions.__file__)
TIMEOUT_S = 900.0  # it may install packages; a program's own setup has its time beside that


@dataclass(frozen=True)
class MachineSpec:
    """The machine that a seed needs: `gpus` of one of `gpu_types`, by the names that RunPod gives them ('' is any).

    `packages` are what trainers import there, as pip takes them; a machine that lacks one is given it. `needs` are the
    program's own.
    """

    checks: Checks
    packages: tuple[str, ...]
    gpus: int = 0
    gpu_types: tuple[str, ...] = ()
    needs: Needs = field(default_factory=Needs)

    def key(self, files: Mapping[str, str]) -> str:
        """Another one for a machine that is asked for something else, or for another dataset."""
        needs = [self.needs.modules, self.needs.commands, str(self.needs.folder)]
        return digest([self.packages, self.gpus, self.gpu_types, needs, dict(files)])


def prepare(machine: Machine, wanted: MachineSpec) -> dict[str, Any]:
    """Check a machine and put the agent on it; `staging.stage_data` brings the dataset.

    Returns what bootstrap.sh found, by name, with the `versions` of what the program runs with.

    Raises
    ------
    Unfit : it is not what was asked for.
    Gone : it does not answer.
    """
    checks, needs = wanted.checks, wanted.needs
    machine.install()
    machine.put(SCRIPTS / SCRIPT, SCRIPT)
    machine.put(VERSIONS, PurePosixPath(VERSIONS.name))
    if needs.installs and needs.source:
        stage(machine, needs.source, needs.files, needs.folder)
    settings = {
        "PYTHON": machine.python,
        "GPUS": str(wanted.gpus),
        "GPU_TYPES": "|".join(wanted.gpu_types),
        "PACKAGES": " ".join(wanted.packages),
        "MIN_FREE_GB": str(checks.min_free_gb),
        "MIN_DISK_MB_S": str(checks.min_disk_mb_s),
        "MIN_TORCH": checks.min_torch,
        "CUDA": "1" if checks.cuda else "0",
        "PROGRAM": str(needs.folder),
        "SETUP": needs.setup or "",
        "REQUIREMENTS": needs.requirements or "",
        "MODULES": " ".join(needs.modules),
        "COMMANDS": " ".join(needs.commands),
        "SETUP_S": str(checks.max_setup_s),
    }
    words = " ".join(f"{name}={quote(value)}" for name, value in settings.items())
    try:
        timeout_s = TIMEOUT_S + 2 * checks.max_setup_s * needs.installs
        said = machine.run(f"cd {quote(str(machine.work))} && {words} bash {SCRIPT}", timeout_s=timeout_s)
        modules = [*map(_name, wanted.packages), *needs.modules, *needs.optional]
        asked = " ".join(map(quote, dict.fromkeys(modules)))
        told = machine.run(f"{quote(machine.python)} {quote(str(machine.work / VERSIONS.name))} {asked}")
        facts = checked_facts(said, told)
        began = time.time()
        skew = float(machine.run("date +%s.%N")) - began
    except Refused as e:
        raise Unfit(str(e), kind_of(str(e))) from None
    except (ValueError, RecursionError) as e:
        raise Unfit(f"{machine.name}: {e}"[:1000]) from None
    if not -checks.max_clock_skew_s < skew < time.time() - began + checks.max_clock_skew_s:
        raise Unfit(f"{machine.name}: its clock is {skew:.0f} s off", Kind.CLOCK)
    return facts


def kind_of(said: str) -> Kind:
    """The check of bootstrap.sh that a machine fails, by the script's last words.

    >>> str(kind_of("pod-1: unfit: 7 GPUs, 8 were paid for [gpus] / a line of stderr"))
    'unfit: gpus'
    """
    named = [f"unfit: {word}" for word in re.findall(r"\[(\w+)\](?= / |$)", said)]
    return next((kind for kind in Kind if named[-1:] == [kind]), Kind.UNFIT)


def _name(package: str) -> str:
    """The name of a package, without its version."""
    return re.split(r"[<>=~!\[; ]", package, maxsplit=1)[0]
