"""A speedrun's record that is asked for, checked before anything is started, and the order of its runs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pgolf.errors import BadInput
from pgolf.program import Program
from pgolf.program.find import open_program
from pgolf.record.request import check_name, check_ranks_of, hash_of
from pgolf.report.inputs import check_names
from pgolf.report.runs_inputs import BASELINE, NEW, OWN_NAMES
from pgolf.tracks import Target, Track

MOST_RUNS = 200  # of a variant


@dataclass(frozen=True)
class RunsRequest:
    """A speedrun's record to make: the rules, the program and the baseline, how often each runs, and what it is to be
    called. `baseline_name` is what people call the standing record that the baseline is, which lies in
    `baseline_folder`."""

    track: Track
    program: Program
    baseline: Program
    baseline_name: str
    baseline_folder: Path
    runs: int
    name: str
    author: str = "unknown"
    github_id: str = ""
    summary: str = ""

    @property
    def target(self) -> Target:
        """The track's aim."""
        assert self.track.target
        return self.track.target

    @property
    def programs(self) -> dict[str, Program]:
        """The program of each variant."""
        return {NEW: self.program, BASELINE: self.baseline}

    @property
    def inputs(self) -> dict[str, str]:
        """Hashes of what a record depends on, as far as they are known before its data is read."""
        return {NEW: self.program.sha256, BASELINE: self.baseline.sha256, "track": hash_of(asdict(self.track))}

    @property
    def order(self) -> tuple[str, ...]:
        """The variant of each run."""
        return balanced(self.runs)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of each run; none where no program reads one."""
        reads = any(program.seed for program in self.programs.values())
        return tuple(range(1, 2 * self.runs + 1)) if reads else ()


def balanced(runs: int) -> tuple[str, ...]:
    """The order of `runs` runs of each variant: pairs that begin with the one and the other in turn, so that neither a
    trend of the machine nor being second decides.

    >>> balanced(2)
    ('this_pr', 'baseline', 'baseline', 'this_pr')
    """
    return tuple(name for pair in range(runs) for name in ((NEW, BASELINE) if pair % 2 == 0 else (BASELINE, NEW)))


def check_runs(
    track: Track,
    program: str | None,
    baseline: str | None,
    runs: int | None = None,
    settings: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    *,
    name: str | None = None,
    author: str = "unknown",
    github_id: str = "",
    summary: str = "",
) -> RunsRequest:
    """The speedrun's record that is asked for; nothing is started or written.

    `settings` are variables that the program reads; `env` is for both variants.

    Raises
    ------
    BadInput : a program that is missing or cannot be read, too few runs, two programs that do not differ, or that
        install different packages, or a name that makes no folder.
    """
    target = track.target
    assert target
    if not program or not baseline:
        raise BadInput(
            f"track {track.name} is a speedrun: name your program with --program, and with --baseline that of the "
            "standing record, which runs beside it"
        )
    asked = target.runs if runs is None else runs
    if not target.min_runs <= asked <= MOST_RUNS:
        raise BadInput(f"--runs {asked}: track {track.name} asks for {target.min_runs} to {MOST_RUNS} of each variant")
    found = {
        NEW: open_program(Path(program), settings, env, speedrun=True),
        BASELINE: open_program(Path(baseline), None, env, speedrun=True),
    }
    for variant, one in found.items():
        check_names(one, OWN_NAMES)
        check_ranks_of(one, track.nproc)
        if inside := [file for file in one.files if file.split("/")[0] == "data"]:
            raise BadInput(f"{variant}: {inside[0]}: `data` is a link to the data where it runs; rename that folder")
    if found[NEW].sha256 == found[BASELINE].sha256:
        raise BadInput(
            "--program and --baseline are the same program with the same settings: there is nothing to compare"
        )
    brought = [wanted for one in found.values() if any(wanted := installed(one))]
    if len(brought) == 2 and brought[0] != brought[1]:
        raise BadInput(
            "both programs bring a requirements.txt or a setup, and these differ: one machine has one set of packages, "
            "so give both the same"
        )
    check_name(name or found[NEW].name)
    return RunsRequest(
        track=track,
        program=found[NEW],
        baseline=found[BASELINE],
        baseline_name=found[BASELINE].name,
        baseline_folder=Path(baseline) if Path(baseline).is_dir() else Path(baseline).parent,
        runs=asked,
        name=name or found[NEW].name,
        author=author,
        github_id=github_id,
        summary=summary,
    )


def installed(program: Program) -> list[str | None]:
    """SHA-256 of the files by which a program makes a machine ready: its requirements and its setup."""
    names = (program.requires.requirements, program.requires.setup)
    return [program.hashes.get(name) if name else None for name in names]
