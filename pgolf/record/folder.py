"""The folder of a record run, `runs/<record-id>/`: who works in it, what it depends on, what it holds.

Any process may be killed at any line; the same command goes on from what the folder holds.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from pgolf.data.dataset import Dataset
from pgolf.errors import BadInput
from pgolf.evidence.manifest import list_files
from pgolf.evidence.plan import Rule, make_plan, read_plans, write_plan
from pgolf.files import sha256_file, write_atomic
from pgolf.ledger import StandingRecord
from pgolf.presets import config_of
from pgolf.program import Program
from pgolf.record.request import Request
from pgolf.record.seeds import ARTIFACT, EVENTS, LOG, PROGRAM, attempts
from pgolf.report.inputs import RecordInputs, SeedRun
from pgolf.trainer.data import load_validation, tokens_sha256

LOOK_S = 5.0  # the reaper holds a record's lock while it looks, and while it ends a pod


@dataclass(frozen=True)
class Record:
    """A record that is being made: its id, its folder, what was asked for, and the hashes of all it depends on."""

    id: str
    folder: Path
    request: Request
    dataset: Dataset
    program: bytes  # the packed trainer that all seeds run
    inputs: Mapping[str, str]
    early_stop: tuple[Rule, ...] = ()  # by which running seeds are given up


def describe_record(
    runs_dir: Path, request: Request, dataset: Dataset, program: bytes, record_id: str | None = None
) -> Record:
    """Name a record by what it depends on, unless it has a name. Writes nothing; BadInput for an id that is no name."""
    inputs = {
        PROGRAM: hashlib.sha256(program).hexdigest(),
        "dataset": _hash(dataset.files),
        "knobs": _hash(dict(request.knobs)),
        "track": _hash(asdict(request.track)),
    }
    if record_id is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", record_id):
        raise BadInput(f"--id {record_id!r}: give letters, digits, '.', '_' and '-', up to 100 of them")
    name = record_id or f"{request.track.name}-{Path(request.preset).stem}-{_hash(inputs)[:8]}"
    return Record(name, runs_dir.resolve() / name, request, dataset, program, inputs)


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@contextmanager
def working_on(record: Record) -> Iterator[None]:
    """Keep everyone else out of the record's folder, and put the plan and the program into it.

    Raises
    ------
    BadInput : someone else is at it, or the folder is of a record with other inputs or seeds.
    """
    record.folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(record.folder.with_name(f".{record.id}.lock"))
    try:
        lock.acquire(timeout=LOOK_S)
    except Timeout:
        raise BadInput(
            f"another `pgolf record` is at {record.folder} just now; wait for it, or make another one with --id"
        ) from None
    try:
        request = record.request
        preset = Path(request.preset).stem
        plan = make_plan(
            record.id, request.track.name, preset, request.seeds, record.inputs, early_stop=record.early_stop
        )
        path = write_plan(record.folder, plan)
        write_atomic(record.folder / PROGRAM, record.program)
        list_files(record.folder, record.folder, {p.name: sha256_file(p) for p in (path, record.folder / PROGRAM)})
        yield
    finally:
        lock.release()


def with_rules(record: Record, limits: bool | None, loss: bool | None, rented: bool) -> Record:
    """The record with the rules that were asked for; by default those of its plan, else `limits` where time is paid."""
    plans = read_plans(record.folder)
    before: tuple[Rule, ...] = plans[0].early_stop if plans else ("limits",) if rented else ()
    asked: dict[Rule, bool | None] = {"limits": limits, "loss": loss}
    rules = tuple(rule for rule, wish in asked.items() if (rule in before if wish is None else wish))
    return replace(record, early_stop=rules)


def scored_sha256(record: Record) -> str:
    """SHA-256 of the validation tokens that this record's runs score: what its standing record must have scored."""
    config = config_of({**record.request.knobs, "data_dir": str(record.dataset.data_dir)})
    return tokens_sha256(load_validation(config))


def gather(record: Record, finished: Mapping[int, Path], standing: StandingRecord) -> RecordInputs:
    """Gather the inputs of a verdict: the finished attempts' folders by seed, in the plan's order."""
    request, plans = record.request, tuple(read_plans(record.folder))
    made = request.track.corpus == "pydocs"
    program = Program(
        request.name, True, {PROGRAM: record.program}, PROGRAM, (PROGRAM,), data={"DATA_DIR": "{data}"}, events=True
    )
    runs = [
        SeedRun(seed, folder / LOG, folder / EVENTS, folder / ARTIFACT, attempts(record.folder, [seed]))
        for seed, folder in finished.items()
    ]
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
        program=program,
        source=record.folder,
        standing=standing,
        summary=request.summary,
        nproc=request.track.nproc,
        environment={"DATA_DIR": f"data/{record.dataset.name}" if made else "data"},  # the reader's, not ours
        prepare="pgolf data pydocs" if made else None,
        unfinished=attempts(record.folder, [s for s in request.seeds if s not in finished]),
        dataset=record.dataset.facts(),
    )
