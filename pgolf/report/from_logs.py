"""Logs that pgolf did not run → a draft of the folder that is submitted.

It says what the logs say. All else is unknown: there is no plan of the seeds, and nobody has seen the program run.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pgolf.errors import BadInput
from pgolf.evidence.claims import MAX_CLAIMS_BYTES
from pgolf.evidence.entry import SEED_IN_NAME, Entry, read_entry
from pgolf.evidence.logs import read_seeds
from pgolf.evidence.run import Run
from pgolf.files import copy_folder, hash_folder, replaced_folder, write_atomic
from pgolf.ledger import StandingRecord, value
from pgolf.phrases import counted
from pgolf.program import Program
from pgolf.program.data import TOKENIZER
from pgolf.program.find import SCRIPT, open_program
from pgolf.program.folder import Folder
from pgolf.report.inputs import RecordInputs, SeedRun, check_names
from pgolf.report.submission import MOST_BYTES, SUBMISSION, write_draft
from pgolf.tracks import Track
from pgolf.untrusted import Untrusted, open_regular, parse_json, read_bytes

MOST_LOGS = 100
WHERE_DATA_IS, WHERE_TOKENIZER_IS = "path/to/data", "path/to/tokenizer.model"  # where the source has no default


@dataclass(frozen=True)
class About:
    """What no log says: the submission's name, author, GitHub name, day (YYYY-MM-DD), track, and what is new in a
    sentence; `standing` is the record to beat, if the user names one, and `stage` the evaluation that counts, by its
    name in the logs, where it is not the last one."""

    name: str
    author: str
    github_id: str
    date: str
    track: Track
    summary: str = ""
    standing: StandingRecord | None = None
    stage: str = ""


@dataclass(frozen=True)
class Drafted:
    """The folder of a draft; `new` unless the same one was there already. `remarks` are what its author should know."""

    folder: Path
    new: bool
    remarks: tuple[str, ...]
    scores: tuple[tuple[int | None, float], ...]
    mean: float
    std: float | None


@dataclass
class _Read:
    """A log, the runs that it tells of, and its name in the submission."""

    path: Path
    runs: list[Run] = field(default_factory=list)
    name: str = ""
    seed: int | None = None


def draft_from_logs(
    logs: Sequence[Path],
    program: Path,
    about: About,
    target: Path,
    artifacts: Sequence[Path] = (),
    force: bool = False,
) -> Drafted:
    """Write the submission of runs that pgolf has only the logs of.

    Parameters
    ----------
    logs : a log a seed, in any dialect; an evaluation of a seed's artifact may have a log of its own.
    program : the script, or its folder; it is copied, and never run.
    about : what the logs do not say.
    target : the folder to write. It appears whole or not at all. One that is there is only replaced with `force`, and
        only if it is a draft.
    artifacts : the compressed model of each training log, in the order of the logs; they are weighed and hashed.

    Raises
    ------
    BadInput : a log that tells of no run, has no final score, or tells of the run of another log; a file that cannot be
        read within bounds; a folder that is not to be replaced.
    """
    _check_given(logs, artifacts, about.track)
    check_target(target, [*logs, program, *artifacts], is_draft)
    read = [_read(log) for log in logs]
    with tempfile.TemporaryDirectory(prefix="pgolf-") as temporary:
        room = Path(temporary)
        remarks = _name_all(read)
        entry = _copied(read, room / "logs")
        remarks += _check_entry(entry, read)
        found = _program(program, room)
        remarks += found.notes
        inputs = _inputs(read, found, room / "program", about, artifacts)
        folder = room / "draft" / target.name
        draft = write_draft(inputs, folder)
        new = put(folder, target, force)
    scores = tuple((s.seed, s.val_bpb) for s in draft.scores)
    return Drafted(target, new, tuple(remarks), scores, draft.mean, draft.std)


def _check_given(logs: Sequence[Path], artifacts: Sequence[Path], track: Track) -> None:
    assert not track.target  # `draft_runs` is for those
    if len(logs) > MOST_LOGS:
        raise BadInput(f"{len(logs):,} logs; a draft has at most {MOST_LOGS}, one a seed")
    if artifacts and len(artifacts) != len(logs):
        raise BadInput(
            f"{len(artifacts)} --artifact for {counted(len(logs), 'log')}: give one for each log, in the same order"
        )
    for path in artifacts:
        open_regular(path, path.parent).close()


def check_target(target: Path, given: Sequence[Path], is_draft: Callable[[Path], bool]) -> None:
    """BadInput if `target` is there and is no draft, or holds a file that is read."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise BadInput(f"{target}: not a folder; give another one with -o")
    place = target.resolve()
    if inside := next((path for path in given if path.resolve().is_relative_to(place)), None):
        raise BadInput(f"{inside} lies in {target}, which is to be written: give another folder with -o")
    if target.is_dir() and any(target.iterdir()) and not is_draft(target):
        raise BadInput(f"{target}: a folder that pgolf draft did not write; give another one with -o")


def is_draft(folder: Path) -> bool:
    """Whether a folder is a draft: its submission.json says so."""
    try:
        claims = parse_json(read_bytes(folder / SUBMISSION, MAX_CLAIMS_BYTES, folder), SUBMISSION)
    except Untrusted:
        return False
    return isinstance(claims, dict) and claims.get("drafted_from_logs") is True


def _read(log: Path) -> _Read:
    """Raises BadInput for a log that tells of no run."""
    open_regular(log, log.parent).close()
    runs = [run for run in read_seeds(log) if run.trained or run.final]
    if not runs:
        raise BadInput(f"{log}: tells of no run; give the logs of the seeds, as they were printed")
    return _Read(log, runs)


def _name_all(read: Sequence[_Read]) -> list[str]:
    """Give each log its usual name; what is to be said of them."""
    remarks: list[str] = []
    counts: Counter[str] = Counter()
    for log in read:
        seeds = [value(run.seed) for run in log.runs]
        said = [int(n) for n in SEED_IN_NAME.findall(log.path.name)[-1:] if n.isdigit()]
        log.seed = seeds[0] if len(seeds) == 1 and seeds[0] is not None else said[0] if said else None
        if None in seeds:
            seeds = [log.seed]
        if said and log.seed is not None and said[0] not in seeds:
            remarks.append(f"{log.path.name} ran seed {log.seed}, not the one of its name")
        stem = "train" if any(run.trained for run in log.runs) else "eval"
        if None not in seeds:
            stem += f"_seed{'_'.join(map(str, seeds))}"
        else:
            remarks.append(f"{log.path.name} states no seed, neither in the log nor by its name")
        counts[stem] += 1
        if counts[stem] > 1:
            remarks.append(f"{log.path.name} is the {'same seed' if '_seed' in stem else 'unknown seed'} once more")
            stem += f"_run{counts[stem]}"
        log.name = f"{stem}.log"
    return remarks


def _copied(read: Sequence[_Read], folder: Path) -> Entry:
    """The logs under their names in a folder, as a reviewer reads them."""
    for log in read:
        content = read_bytes(log.path, MOST_BYTES, log.path.parent)
        write_atomic(folder / log.name, content)
    return read_entry(folder)


def _check_entry(entry: Entry, read: Sequence[_Read]) -> list[str]:
    """Raise BadInput for a log that does not count, and why; return what is to be said of others."""
    given = {log.name: log.path for log in read}
    for name, problem in entry.unread.items():
        raise BadInput(f"{given.get(name, name)}: {problem}")
    for copy in entry.copies:
        raise BadInput(f"{given[copy.file]} and {given[copy.of]} tell of one run: give it once")
    unscored = [run for run in (*entry.runs, *entry.extras) if run.final is None]
    if unscored:
        names = ", ".join(str(given[run.log.name]) for run in unscored)
        raise BadInput(
            f"{names}: no final score; wait for the run to end, add the log of its evaluation, or leave it out"
        )
    if not entry.runs:
        raise BadInput("no log tells of a run that counts")
    return [
        f"{given[run.log.name].name} does not count: it evaluates a seed whose own log has a score; leave out "
        "the one that is not the result"
        for run in entry.extras
    ]


def _program(path: Path, room: Path) -> Program:
    """The user's program, its files in `room`/program; with the settings of the logs in `room`/logs, where its source
    reads them, and else only its files."""
    try:
        program = open_program(path)
    except BadInput as e:
        program = files_alone(path, str(e))
    check_names(program)
    for name, content in program.files.items():
        write_atomic(room / "program" / name, content)
    if program.seed is None:
        return program
    beside = room / "beside"
    copy_folder(room / "program", beside)
    copy_folder(room / "logs", beside)
    try:
        as_logged = open_program(beside)
    except BadInput:
        return program
    return replace(as_logged, name=program.name) if as_logged.files == program.files else program


def files_alone(path: Path, why: str) -> Program:
    """A script of which only the file is known. BadInput if it is not one file."""
    if path.is_dir() or not path.exists():
        raise BadInput(why)
    folder = Folder(path.parent)
    content = folder.take(path.name)
    note = f"How {path.name} takes its seed and its data is unknown: {why}"
    return Program(path.stem, False, {SCRIPT: content}, SCRIPT, (SCRIPT,), seed=None, notes=(note,))


def _inputs(
    read: Sequence[_Read], program: Program, source: Path, about: About, artifacts: Sequence[Path]
) -> RecordInputs:
    logs = source.parent / "logs"
    models: Sequence[Path | None] = artifacts or [None] * len(read)
    runs = [SeedRun(r.seed, logs / r.name, None, model, name=r.name) for r, model in zip(read, models, strict=True)]
    return RecordInputs(
        record_id=about.name,
        name=about.name,
        author=about.author,
        github_id=about.github_id,
        date=about.date,
        track=about.track,
        preset="",
        plans=(),
        runs=tuple(sorted(runs, key=lambda run: (run.seed is None, run.seed or 0, run.log_name))),
        program=program,
        source=source,
        standing=about.standing,
        summary=about.summary,
        stage=about.stage,
        nproc=next((n for r in read for run in r.runs if (n := value(run.world_size))), about.track.nproc),
        environment={name: _default(program, name) for name in program.data},
    )


def _default(program: Program, name: str) -> str:
    """Where the program looks for its data, or its tokenizer, by itself."""
    known = (program.variables or {}).get(name)
    where = WHERE_TOKENIZER_IS if program.data[name] == TOKENIZER else WHERE_DATA_IS
    return known.default if known and known.default else where


def put(folder: Path, target: Path, force: bool) -> bool:
    """Put a written folder into its place; False: the same one is there already."""
    there = target.is_dir() and any(target.iterdir())
    if there and hash_folder(target) == hash_folder(folder):
        return False
    if there and not force:
        raise BadInput(f"{target} is there already, and differs; --force replaces it, with all changes made to it")
    with replaced_folder(target) as new:
        copy_folder(folder, new)
    return True
