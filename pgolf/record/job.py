"""The program and settings of a record's seeds, or of a speedrun's runs, and how many of them go at the same time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pgolf.cores import usable_cores
from pgolf.pods import PYTHON
from pgolf.program import Program

DATA = "PGOLF_DATA"  # the variable with the folder that a run's `data` is to be a link to
# what makes that link where a run is, and becomes its command: no machine but that one knows the path
LINKING = (
    "import os, sys; words = sys.argv[1:]; os.path.lexists('data') or os.symlink(os.environ['PGOLF_DATA'], 'data'); "
    "words[0] = sys.executable if words[0] == 'python' else words[0]; os.execvp(words[0], words)"
)


@dataclass(frozen=True)
class Job:
    """The program and settings that every seed of one kind runs; of a speedrun, every run of a variant.

    `name` is what one of them is called before its number; `folder` holds a folder a seed; `program` is what runs, and
    `source` the folder that its files lie in; `environment` is handed to it besides its seed; `nproc` ranks;
    `retry_failed` is for trial runs, which are no attempts at a record; `given` are files put beside the program, by
    the name that they get there; `most_seconds` is when a run that has not ended by itself is ended (None: never);
    `clock` is when the program ends training by itself, in seconds of training (None: unknown). `by_loss`: it is of a
    speedrun, whose result is a loss; the number of a run takes the place of a seed, and `data` is the folder that
    `data` in the run's folder is a link to (None: there is none). `anew`: what ran before was of another program, and
    is taken up no more.
    """

    name: str
    folder: Path
    program: Program
    source: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    nproc: int = 1
    retry_failed: bool = False
    given: Mapping[str, Path] = field(default_factory=dict)
    most_seconds: float | None = None
    clock: float | None = None
    by_loss: bool = False
    data: Path | None = None
    anew: bool = False

    @property
    def command(self) -> list[str]:
        """The words that start a run."""
        words = self.program.start(self.nproc)
        return [PYTHON, "-c", LINKING, *words] if self.data else words

    def run_id(self, seed: int) -> str:
        """The name of a run, in its environment and in the names of its logs."""
        return f"run{seed}" if self.by_loss else f"seed{seed}"

    def variables(self, seed: int) -> dict[str, str]:
        """The environment of a run."""
        link = {DATA: str(self.data)} if self.data else {}
        return {**self.environment, **self.program.of_run(seed, self.run_id(seed)), **link}


def share_cores(runs: int, nproc: int, parallel: int | None = None) -> tuple[int, int]:
    """How many of `runs` go at the same time on this machine's cores, and how many threads each rank gets.

    Examples
    --------
    >>> share_cores(3, 1, parallel=1)[0]
    1
    """
    cores = usable_cores()
    slots = max(1, cores // nproc)
    at_once = min(runs, parallel or (runs if runs <= 2 * slots else slots))  # crowded beats a half-empty second round
    return at_once, max(1, cores // (at_once * nproc))
