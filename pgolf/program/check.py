"""What is told of a program by reading it, and what it lacks to be run here. Nothing of it is run or imported."""

import importlib.util
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pgolf.program import TORCHRUN, Need, Program
from pgolf.program.environment import OF_THE_MACHINE, RANKS
from pgolf.program.requires import PACKAGES
from pgolf.program.source import Reading

# What the log reader looks for, and what follows where no print states it
FACTS = {
    "final score": "a run has no result without one",
    "seed": "no log confirms that a run had the seed that it was given",
    "size": "only the files say how large the artifact is",
    "time": "nothing in the log says whether training and evaluation kept their limits",
    "step": "there is no curve, and no run can be ended early",
    "hyperparameters": "settings are compared with another record's only as far as they were set",
}
OF_SPEEDRUNS = {
    "step": "a run has no result without a validation loss",
    "time": "no log says how long its training took",
}


@dataclass(frozen=True)
class Check:
    """A program with all that its source says; `trial` are the variables that make it short, None: none is known.

    `speedrun`: it is for a track with a target, whose programs need neither a score nor a trial.
    """

    program: Program
    reading: Reading
    trial: Mapping[str, str] | None
    cuda_here: bool
    speedrun: bool = False

    @property
    def lacks(self) -> list[str]:
        """Why it cannot be recorded on this machine as it is, a sentence without its full stop each."""
        said = missing_here(self.program, self.cuda_here) + not_set(self.program)
        if self.speedrun:
            return said
        if "final score" not in self.reading.prints:
            said.append("None of its prints states a final score to the log reader, as 'val_bpb:1.2345' does")
        if self.trial is None:
            said.append("It reads no variable that makes it short for a trial: name some by `trial` in program.toml")
        return said

    @property
    def unstated(self) -> dict[str, str]:
        """Facts that none of its prints states to the log reader, and what follows."""
        facts = OF_SPEEDRUNS if self.speedrun else FACTS
        return {fact: so for fact, so in facts.items() if fact not in self.reading.prints}

    @property
    def start(self) -> list[str]:
        """The words that start it, with {nproc} for the number of ranks."""
        return [word.replace("{script}", self.program.script) for word in self.program.command or TORCHRUN]

    def as_json(self) -> dict[str, Any]:
        """All of it, for another program to read."""
        program, reading, needs = self.program, self.reading, self.program.requires
        files = {
            name: {"bytes": len(program.files[name]), "sha256": sha256, "code": name in program.code}
            for name, sha256 in program.hashes.items()
        }
        variables = {
            name: {"default": v.default, "file": v.file, "line": v.line, "required": v.required}
            for name, v in (program.variables or {}).items()
        }
        return {
            **program.as_json(),
            "files": files,
            "start": self.start,
            "variables": variables,
            "vocab_size": program.vocab_size,
            "modules": [asdict(need) | {"here": is_here(need.name)} for need in needs.modules],
            "commands": [asdict(need) | {"here": shutil.which(need.name) is not None} for need in needs.commands],
            "packages": list(needs.packages),
            "requirements": needs.requirements,
            "setup": needs.setup,
            "cuda": needs.cuda,
            "cuda_line": reading.cuda_line,
            "reads": [asdict(need) for need in reading.reads],
            "packed": reading.packed,
            "prints": dict(reading.prints),
            "unstated": self.unstated,
            "trial": None if self.trial is None else dict(self.trial),
            "eval_seconds": program.eval_seconds,
            "notes": list(program.notes),
            "unclear": list(reading.unclear),
            "lacks": self.lacks,
        }


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


def gpu_here() -> bool:
    """Whether this machine shows an NVIDIA GPU; torch is not asked."""
    return any(Path("/dev").glob("nvidia[0-9]*"))
