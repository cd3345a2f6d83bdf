"""The folder of a speedrun's record, `runs/<record-id>/`.

plan.json                               the variant of each run, in the order in which they run
variants/<variant>/program/             the program of a variant, as it runs
variants/<variant>/<n>/attempt-<k>/     the nth run of the plan: a pod's folder each
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pgolf.errors import BadInput
from pgolf.evidence.lines import printable
from pgolf.evidence.manifest import list_machines, read_versions
from pgolf.evidence.plan import Plan, check_plan, make_plan_of_runs, read_plans, write_plan
from pgolf.pods.local import machine_of
from pgolf.record.folder import held, list_in, name_of_record
from pgolf.record.job import Job
from pgolf.record.programs import write_files
from pgolf.record.request import hash_of
from pgolf.record.run_results import log_of
from pgolf.record.runs_data import RunsData, reads_below
from pgolf.record.runs_request import RunsRequest
from pgolf.record.seeds import attempts
from pgolf.report.runs_inputs import BASELINE, NEW, PlannedRun, RunsInputs

log = logging.getLogger(__name__)
HERE = "here"  # this machine, as the manifest calls it


@dataclass(frozen=True)
class RunsRecord:
    """A speedrun's record that is being made: its id, folder, request, and hashes of all it depends on."""

    id: str
    folder: Path
    request: RunsRequest
    data: RunsData | None
    files: Mapping[str, str]  # SHA-256 by path of the data's files
    inputs: Mapping[str, str]

    def source(self, variant: str) -> Path:
        """The folder that holds a variant's program."""
        return self.folder / "variants" / variant / "program"

    @property
    def runs(self) -> list[tuple[int, str]]:
        """(number, variant) of each planned run."""
        return list(enumerate(self.request.order, start=1))

    @property
    def plan(self) -> Plan:
        """What is written before the first run."""
        request = self.request
        return make_plan_of_runs(
            self.id, request.track.name, request.program.name, request.order, request.seeds, self.inputs
        )


def describe_runs(
    runs_dir: Path, request: RunsRequest, data: RunsData | None, record_id: str | None = None
) -> RunsRecord:
    """Name a speedrun's record by what it depends on, unless it has a name; data is hashed, nothing is written."""
    if data:
        log.info("data: hashing %s files, %.2f GB", f"{len(data.sizes):,}", sum(data.sizes.values()) / 1e9)
    files = data.hashes() if data else {}
    inputs = {**request.inputs, "data": hash_of(files)}
    named = {**inputs, "runs": hash_of(request.runs)}
    name = name_of_record(record_id, request.track.name, request.program.name, named)
    return RunsRecord(name, runs_dir.resolve() / name, request, data, files, inputs)


def check_plan_of_runs(runs_dir: Path, request: RunsRequest, data: RunsData | None, record_id: str | None) -> None:
    """BadInput if a record that has this name holds another plan already. Without one, data is not hashed."""
    if record_id is not None and read_plans(runs_dir / name_of_record(record_id, "", "", {})):
        record = describe_runs(runs_dir, request, data, record_id)
        check_plan(record.folder, record.plan)


@contextmanager
def working_on_runs(record: RunsRecord) -> Iterator[None]:
    """Keep everyone else out of the record's folder, and put the plan and the programs into it.

    Raises
    ------
    BadInput : someone else is at it, or the folder is of a record with other inputs, or another number of runs.
    """
    with held(record.folder, record.plan):
        written = [write_plan(record.folder, record.plan)]
        for variant, program in record.request.programs.items():
            written += write_files(program, record.source(variant))
        list_in(record.folder, written)
        yield


def keep_versions(record: RunsRecord, now: Mapping[str, str], left: int) -> None:
    """Put this machine's versions into the manifest, by name; once runs have been started here, they stay as they are.

    Raises
    ------
    BadInput : `left` runs are yet to be made, and the versions are others than those of the runs before.
    """
    before = read_versions(record.folder, HERE) if any(record.folder.glob("variants/*/*/attempt-*")) else {}
    if not before:
        list_machines(record.folder, {HERE: {"versions": dict(now)}})
        return
    changed = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    if left and changed:
        said = ", ".join(f"{name} {before.get(name, 'missing')}, now {now.get(name, 'missing')}" for name in changed)
        raise BadInput(
            f"{record.folder}: the runs so far were made with other versions ({printable(said)}): all runs are made on "
            "one machine as it is; put those versions back, and start it again"
        )


def run_job(record: RunsRecord, variant: str) -> Job:
    """The job of a variant's runs."""
    program, root = record.request.programs[variant], str(record.data.root) if record.data else ""
    return Job(
        name=variant,
        folder=record.folder / "variants" / variant,
        program=program,
        source=record.source(variant),
        environment=program.settings(root, root, root),
        nproc=record.request.track.nproc,
        most_seconds=record.request.target.most_seconds,
        by_loss=True,
        data=record.data.root if record.data and reads_below(program) is not None else None,
    )


def gather_runs(record: RunsRecord, finished: Mapping[int, Path], again: str = "") -> RunsInputs:
    """Gather the inputs of a verdict: `finished` are the attempts' folders by the number of their run.

    Where time counts, it is no record if several machines do not have as many runs of both variants.
    """
    request, (plan,) = record.request, read_plans(record.folder)
    below = reads_below(request.program)
    runs = tuple(_planned_run(record, number, variant, finished.get(number)) for number, variant in record.runs)
    unequal = unequal_machines(runs) if request.target.least == "train_seconds" else None
    return RunsInputs(
        record_id=record.id,
        name=request.name,
        author=request.author,
        github_id=request.github_id,
        date=plan.created[:10],
        track=request.track,
        plan=plan.as_json() | {"sha256": plan.sha256},
        created=plan.created,
        runs=runs,
        program=request.program,
        source=record.source(NEW),
        baseline=request.baseline,
        baseline_name=request.baseline_name,
        summary=request.summary,
        nproc=request.track.nproc,
        environment=request.program.settings("data", "data", "data"),
        reads=None if below is None and not request.program.data else tuple(sorted(below or ())),
        again=again,
        reasons=(unequal,) if unequal else (),
    )


def _planned_run(record: RunsRecord, number: int, variant: str, folder: Path | None) -> PlannedRun:
    log = log_of(folder) if folder else None
    tried = attempts(record.folder, [number], f"variants/{variant}")
    machine = machine_of(folder) or HERE if folder else ""
    return PlannedRun(number, variant, folder / log if folder and log else None, tried, machine)


def unequal_machines(runs: Sequence[PlannedRun]) -> str | None:
    """Why times of the finished runs do not compare: one of several machines has more of one variant's; None: they do.

    On one machine they do: there, only runs that did not finish are missing.
    """
    counts: dict[str, dict[str, int]] = {}
    for run in runs:
        if run.log:
            here = counts.setdefault(run.machine, {NEW: 0, BASELINE: 0})
            here[run.variant] += 1
    if len(counts) < 2 or all(count[NEW] == count[BASELINE] for count in counts.values()):
        return None
    said = "; ".join(f"{name} {c[NEW]} of {NEW} and {c[BASELINE]} of {BASELINE}" for name, c in counts.items())
    return f"the machines have not as many runs of each variant ({said}), so that times do not compare"
