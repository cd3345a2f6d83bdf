"""What a program lacks to be run here. Nothing of it is run or imported."""

import importlib.util
import shutil
from pathlib import Path

from pgolf.program import Need, Program
from pgolf.program.environment import OF_THE_MACHINE, RANKS
from pgolf.program.requires import PACKAGES


def is_here(module: str) -> bool:
    """Whether a module's package is installed here; one in the current folder is not. It is not imported."""
    try:
        spec = importlib.util.find_spec(module.partition(".")[0])
    except (ImportError, ValueError, AttributeError):
        return False
    if spec is None or spec.origin in ("built-in", "frozen"):
        return spec is not None
    places = [Path(p) for p in ([spec.origin] if spec.origin else spec.submodule_search_locations or ())]
    homes = [place.parents[1] if place.name == "__init__.py" else place.parent for place in places]
    return any(home.resolve() != Path.cwd() for home in homes)


def missing_here(program: Program, cuda_here: bool) -> list[str]:
    """What this machine lacks of all that the program needs, a sentence without its full stop each.

    `cuda_here`: whether torch sees a GPU here. A module or command that the program may do without is not missing.
    """
    needs = program.requires
    said = [
        f"{need.name} cannot be imported here ({_where(need)}){_how(need.name)}"
        for need in needs.modules
        if not need.optional and not is_here(need.name)
    ]
    said += [
        f"There is no {need.name} on PATH here ({_where(need)})"
        for need in needs.commands
        if not need.optional and shutil.which(need.name) is None
    ]
    if needs.cuda and not cuda_here:
        said.append("It needs a GPU with CUDA, and torch sees none here")
    return said


def not_set(program: Program) -> list[str]:
    """Variables that the program fails without and that nobody sets, as above; VOCAB_SIZE is the dataset's."""
    by_pgolf = {program.seed, "RUN_ID", "VOCAB_SIZE", *RANKS, *OF_THE_MACHINE, *program.data, *program.environment}
    return [
        f"It fails unless {v.name} is set ({v.file}:{v.line}): give --set {v.name}=VALUE"
        for v in (program.variables or {}).values()
        if v.required and v.name not in by_pgolf
    ]


def _where(need: Need) -> str:
    return f"{need.file}:{need.line}" if need.line else need.file


def _how(module: str) -> str:
    first = module.partition(".")[0]
    return f": pip install {PACKAGES[first]}" if first in PACKAGES else ""
