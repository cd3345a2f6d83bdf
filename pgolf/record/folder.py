"""The folder of a record run, `runs/<record-id>/`: who works in it, what it depends on, what it holds.

Any process may be killed at any line; the same command goes on from what the folder holds.
"""

import logging
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from pgolf.data.dataset import Dataset
from pgolf.errors import BadInput
from pgolf.evidence.events import EVENTS
from pgolf.evidence.lines import printable
from pgolf.evidence.manifest import list_files, read_manifest
from pgolf.evidence.plan import Kind, Plan, Rule, check_plan, make_plan, read_plans, write_plan
from pgolf.files import hash_folder, sha256_file, stays_inside
from pgolf.ledger import StandingRecord
from pgolf.pods.slots import lock_file
from pgolf.presets import config_of
from pgolf.program import Program
from pgolf.record.ending import Busy
from pgolf.record.job import Job
from pgolf.record.programs import (
    dataset_config,
    environment_of,
    folder_of,
    own_program,
    settings_on,
    write_files,
)
from pgolf.record.refusals import check_id
from pgolf.record.request import Request, hash_of, rules_of
from pgolf.record.results import ARTIFACT, LOG, read_result
from pgolf.record.seeds import attempts
from pgolf.record.short import clock_of
from pgolf.report.inputs import RecordInputs, SeedRun
from pgolf.stats.sample import from_seeds, same_validation
from pgolf.trainer.config import Config
from pgolf.trainer.data import load_validation, tokens_sha256

log = logging.getLogger(__name__)
OUTCOME = re.compile(r"(report|records/[^/]+/[^/]+)/")  # folders of a record that tell what has come of it
LOOK_S = 5.0  # the reaper holds a record's lock while it looks, and while it ends a pod


@dataclass(frozen=True)
class Record:
    """A record that is being made: its id, its folder, what was asked for, and the hashes of all it depends on."""

    id: str
    folder: Path
    request: Request
    dataset: Dataset
    program: Program  # that all seeds run
    inputs: Mapping[str, str]
    early_stop: tuple[Rule, ...] = ()  # by which running seeds are given up
    yardstick: Dataset | None = None  # that the standing record is measured on, if its vocabulary is another
    kind: Kind = "record"

    @property
    def source(self) -> Path:
        """The folder that holds the program's files."""
        return folder_of(self.program, self.folder)


def describe_record(
    runs_dir: Path,
    request: Request,
    dataset: Dataset,
    program: Program,
    record_id: str | None = None,
    rules: Sequence[bool | None] = (),
) -> Record:
    """Name a record by all that it depends on, unless it has a name: its inputs, its seeds, and the `rules` that were
    asked for or refused, by which seeds are ended early.

    Writes nothing; BadInput for an id that is no name.
    """
    inputs = {**(program.hashes if program.ours else {}), **request.inputs, "dataset": hash_of(dataset.files)}
    asked = {"rules": hash_of(list(rules))} if any(rule is not None for rule in rules) else {}
    named = {**inputs, "seeds": hash_of(list(request.seeds)), **asked}
    name = name_of_record(record_id, request.track.name, request.label, named)
    return Record(name, runs_dir.resolve() / name, request, dataset, program, inputs)


def name_of_record(given: str | None, track: str, label: str, inputs: Mapping[str, str]) -> str:
    """The name that a record is given, else one of its track, a label and its inputs; BadInput for one that is none."""
    check_id(given)
    label = re.sub(r"[^A-Za-z0-9._-]+", "_", label)[:60]
    return given or f"{track}-{label}-{hash_of(dict(inputs))[:8]}"


@contextmanager
def working_on(record: Record) -> Iterator[None]:
    """Keep everyone else out of the record's folder, and put the plan and the program into it.

    Raises
    ------
    BadInput : someone else is at it, or the folder is of a record with other inputs or seeds.
    """
    request = record.request
    names = record.id, request.track.name, request.label
    plan = make_plan(*names, request.seeds, record.inputs, early_stop=record.early_stop, kind=record.kind)
    with held(record.folder, plan):
        path = write_plan(record.folder, plan)
        list_in(record.folder, [path, *write_files(record.program, record.source)])
        yield


@contextmanager
def held(folder: Path, plan: Plan) -> Iterator[None]:
    """Hold the lock of a record's folder; Busy if another process does, BadInput if that has another plan."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(lock_file(folder))
    try:
        lock.acquire(timeout=LOOK_S)
    except Timeout:
        check_plan(folder, plan)
        raise Busy(folder) from None
    try:
        yield
    finally:
        lock.release()


def list_in(folder: Path, files: Sequence[Path]) -> None:
    """Put files of a record's folder into its manifest."""
    list_files(folder, folder, {p.relative_to(folder).as_posix(): sha256_file(p) for p in files})


def remove_others(record: Path, written: Path) -> None:
    """Remove what else has come of the same runs, beside the submission or the report that is `written`: a report, or a
    submission under another name or of another track. Only what the manifest lists as the record's own, and nobody has
    changed; a folder goes in one step, and what a killed process has left of one goes with it."""
    own: dict[str, dict[str, str]] = {}
    for path, sha256 in read_manifest(record).items():
        if (found := OUTCOME.match(path)) and stays_inside(path) and record / found[1] != written:
            own.setdefault(found[1], {})[path[found.end() :]] = sha256
    for folder, listed in own.items():
        other = record / folder
        gone = other.with_name(f".{other.name}.gone")
        if other.is_dir() and not other.is_symlink():
            there = {p.relative_to(other).as_posix() for p in other.rglob("*") if p.is_symlink() or not p.is_dir()}
            if there != set(listed) or hash_folder(other) != listed:
                log.warning("%s was changed after it was written, and stays", other)
                continue
            shutil.rmtree(gone, ignore_errors=True)
            other.rename(gone)
            log.info("%s: removed, for %s is of the same runs", folder, written.relative_to(record))
        shutil.rmtree(gone, ignore_errors=True)
        list_files(record, other, {})
        for above in (other.parent, other.parent.parent):
            if above != record and not above.is_symlink():
                with suppress(OSError):  # it is not empty
                    above.rmdir()


def with_rules(record: Record, limits: bool | None, loss: bool | None, rented: bool) -> Record:
    """The record with the rules that were asked for; by default those of its plan, else `limits` where time is paid."""
    plans = read_plans(record.folder)
    default: tuple[Rule, ...] = ("limits",) if rented else ()
    return replace(record, early_stop=rules_of(plans[0].early_stop if plans else default, limits, loss))


def seed_job(record: Record, environment: Mapping[str, str]) -> Job:
    """The job of the record's own seeds."""
    track, program = record.request.track, record.program
    most = None if program.ours else track.limits.most_seconds
    folder = record.folder / "seeds"
    return Job(
        "seed", folder, program, record.source, environment, track.nproc, most_seconds=most, clock=clock_of(program)
    )


def baseline_job(record: Record, code: bytes, threads: int) -> Job:
    """The job of the standing record's seeds, with the packed trainer that measures it here."""
    request, folder = record.request, record.folder / "baseline"
    program = own_program(code, Path(str(request.track.baseline_preset)).stem, request.baseline or {})
    write_files(program, folder)
    environment = environment_of(program, dataset_config(record.yardstick or record.dataset), threads)
    return Job("baseline", folder, program, folder, environment, request.track.nproc)


def scored_sha256(record: Record) -> str:
    """SHA-256 of the validation tokens that the standing record must have scored: of those that this record's runs
    score, or, with a program of the user's, of those that the track's own baseline would score of this text."""
    request, dataset = record.request, record.yardstick or record.dataset
    knobs = request.baseline if request.theirs and request.baseline else request.knobs
    config = config_of({**knobs, "vocab_size": dataset.vocab_size, "data_dir": str(dataset.data_dir)})
    return tokens_sha256(load_validation(config))


def other_text(record: Record, standing: StandingRecord | None) -> str | None:
    """Why no gain over the standing record can be shown: it was scored on other text than the dataset has. None: it was
    not, or that cannot be told before the seeds are scored."""
    if standing is None:
        return None
    sha256, dataset = scored_sha256(record), record.yardstick or record.dataset
    # a user's program may cut the same text otherwise, so that its hash alone says nothing
    known = sha256 if record.program.ours or sha256 == standing.scored_sha256 else None
    here = from_seeds(record.request.name, [1.0], scored_sha256=known, val_bytes=dataset.val_bytes)
    try:
        same_validation(here, standing.sample())
    except BadInput as e:
        return str(e)
    return None


def _seed_run(record: Record, seed: int, folder: Path) -> SeedRun:
    result = read_result(folder)
    log, artifact = (result.log, result.artifact) if result else (LOG, ARTIFACT)
    events = folder / EVENTS if record.program.events else None
    return SeedRun(seed, folder / log, events, folder / str(artifact), attempts(record.folder, [seed]))


def gather(record: Record, finished: Mapping[int, Path], standing: StandingRecord) -> RecordInputs:
    """Gather the inputs of a verdict: the finished attempts' folders by seed, in the plan's order."""
    request, plans = record.request, tuple(read_plans(record.folder))
    made = request.track.corpus == "pydocs"
    # the reader's place, not ours
    there = Config(data_dir=f"data/{record.dataset.name}" if made else "data", vocab_size=record.dataset.vocab_size)
    runs = [_seed_run(record, seed, folder) for seed, folder in finished.items()]
    return RecordInputs(
        record_id=record.id,
        name=request.name,
        author=request.author,
        github_id=request.github_id,
        date=plans[0].created[:10],
        track=request.track,
        preset=request.preset,
        plans=plans,
        runs=tuple(runs),
        program=record.program,
        source=record.source,
        standing=standing,
        summary=request.summary,
        nproc=request.track.nproc,
        environment=settings_on(record.program, there),
        prepare="pgolf data pydocs" if made else None,
        unfinished=attempts(record.folder, [s for s in request.seeds if s not in finished]),
        dataset=record.dataset.facts(),
        non_record=request.non_record,
        alike=tuple(records_alike(record.folder, record.inputs)),
    )


def records_alike(own: Path, inputs: Mapping[str, str]) -> Iterator[str]:
    """Other records beside the folder `own` whose seeds ran on the same inputs: of two, the better one proves less."""
    for folder in sorted(own.parent.iterdir()):
        if folder == own or not (folder / "seeds").is_dir():
            continue
        with suppress(BadInput):
            plans = read_plans(folder)
            if plans and plans[-1].inputs == inputs:
                yield f"{printable(folder.name)}: seeds {', '.join(map(str, plans[-1].seeds))}"
