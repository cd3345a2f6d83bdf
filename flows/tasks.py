"""The steps of a record as Prefect's tasks.

The result of a finished step is persisted as JSON in the record's own folder, keyed by the hashes of its inputs: a
second run, or one after a kill, repeats nothing.
"""

import hashlib
import json
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from prefect import task
from prefect.client.schemas.objects import State
from prefect.tasks import Task

from pgolf.data.dataset import Dataset, check_case, check_documents, check_shares, open_dataset
from pgolf.data.present import find_dataset
from pgolf.data.pydocs import build
from pgolf.errors import BadInput, RunFailed
from pgolf.evidence.manifest import list_files
from pgolf.evidence.probes import read_probes
from pgolf.files import hash_folder, sha256_file
from pgolf.flows.pods import hours_of, needs_of, pods_of
from pgolf.flows.show import show, tell_seed
from pgolf.pace import projected_end
from pgolf.pack.kept import packed
from pgolf.pods import Place
from pgolf.pods.failures import ATTEMPTS_MOST
from pgolf.pods.places import Wanted, check_wanted
from pgolf.pods.ssh import Data
from pgolf.presets import config_of
from pgolf.record.board import Board
from pgolf.record.early_stop import Judge
from pgolf.record.folder import Record
from pgolf.record.job import Job
from pgolf.record.live import LiveFile
from pgolf.record.milestones import Milestones
from pgolf.record.preflight import findings_of, longer_trial, trial_of, untried, wants_gpu
from pgolf.record.probing import can_probe, known_probes, probe_program, run_probes
from pgolf.record.programs import PACKED, dataset_config
from pgolf.record.request import Request
from pgolf.record.results import ARTIFACT, read_result
from pgolf.record.rows import clock
from pgolf.record.seeds import Left, Stopped, TakenDown, run_seed
from pgolf.report.inputs import RecordInputs
from pgolf.report.submission import judge, write
from pgolf.report.verdict import Verdict
from pgolf.trainer.config import Knob

log = logging.getLogger("pgolf.record")


@task(name="prepare data", task_run_name="prepare {request.track.corpus}")
def prepare_data(request: Request, data_dir: Path) -> Dataset:
    """Make or find the track's text as shards, and check it whole."""
    cfg = config_of(request.knobs)

    began: dict[str, float] = {}

    def tell(what: str, done: int, total: int) -> None:
        if done == 0:
            began[what] = time.monotonic()
            log.info("data: %s", what)
        elif what in began:
            now = time.monotonic()
            end = projected_end((began.pop(what), 0), (now, done), total)
            if end and end > now + 60:
                log.info("data: %s: about %d minutes more", what, round((end - now) / 60))

    made = request.track.corpus == "pydocs"
    place = data_dir if made else find_dataset(data_dir, cfg.vocab_size)
    dataset = (build if made else open_dataset)(place, vocab_size=cfg.vocab_size, progress=tell)
    log.info("data: %s %s", dataset.name, "reused" if dataset.reused else "made")
    log.info(
        "data: %s of %s validation documents are in the training text, exactly or nearly; %s of %s training documents "
        "are in the rest of it",
        *(dataset.val_documents_near_train, dataset.val_documents),
        *(dataset.train_documents_near_train, dataset.train_documents_compared),
    )
    return dataset if request.theirs and not made else _for_trainer(dataset, request)


def _for_trainer(dataset: Dataset, request: Request) -> Dataset:
    """The dataset; BadInput if its text is of another case than the knobs', or has no files for so many ranks."""
    knobs = config_of(request.knobs)
    if not request.theirs:
        check_shares(replace(dataset_config(dataset), train_seq_len=knobs.train_seq_len), request.track.nproc)
    return check_documents(check_case(dataset, knobs.caseops_enabled), knobs)


@task(name="pack trainer", task_run_name="pack trainer")
def pack_trainer(knobs: Mapping[str, Knob]) -> bytes:
    """Pack the trainer into one file whose defaults are these knobs."""
    return packed(knobs)


@task(name="preflight", task_run_name="preflight")
def preflight(record: Record, environment: dict[str, str], wanted: Wanted) -> list[str]:
    """Project the size, and run the program end to end on little text; return what was found, a sentence each.

    If seeds will run elsewhere, the trial is here on two ranks, if the program can run here; with `rehearse`, on the
    small pod of the settings.
    """
    track, folder = record.request.track, record.folder / "preflight"
    elsewhere = wanted if wanted.rehearse else check_wanted()
    ranks = min(2, track.nproc) if wanted.remote else track.nproc
    if wanted.rehearse:
        ranks = wanted.settings.runpod.rehearse.gpu_count or 1
    elif why := untried(record, wanted):
        return [why]
    trial, seed = trial_of(record, environment, ranks), record.request.seeds[0]
    program = record.program
    data = Data(
        folder / "data", hash_folder(folder / "data"), program.requires.packages, needs_of(program, record.source)
    )
    stop = threading.Event()
    hours = hours_of(track.limits)
    with pods_of(record.folder, elsewhere, data, stop, ranks=ranks, runs=1, hours=hours, rehearsal=True) as opened:
        try:
            finished = run_seed(trial, seed, stop, place=opened.place)
        except RunFailed as e:
            if why := wants_gpu(record, wanted, str(e)):
                return [why]
            if not (longer := longer_trial(record, trial, e)):
                raise
            log.warning("preflight: failed, now tried again with more steps: %s", e)
            finished = run_seed(longer, seed, stop, place=opened.place)
    return findings_of(record, finished.folder)


def was_taken_down(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Whether a failed seed may be started again."""
    return isinstance(state.data, TakenDown)


@task(
    name="train seed", task_run_name="{job.name} {seed}", retries=ATTEMPTS_MOST - 1, retry_condition_fn=was_taken_down
)
def train_seed(
    record: Record,
    job: Job,
    seed: int,
    board: Board,
    milestones: Milestones,
    stop: threading.Event,
    place: Place,
    judge: Judge,
) -> str:
    """Run one seed to its end on a pod; return the folder of the attempt, relative to the record's."""
    label = f"{job.name} {seed}"
    try:
        finished = run_seed(job, seed, stop, show(board, label, record.id, milestones), place, judge)
    except (Stopped, Left, TakenDown):  # it goes on, or is started again
        raise
    except RunFailed as e:
        milestones.failed(label, str(e))
        raise
    list_files(record.folder, finished.folder, finished.files)
    if job.name == "seed":
        tell_seed(record, label, finished.folder, milestones.news)
    return finished.folder.relative_to(record.folder).as_posix()


@task(name="probe evaluation", task_run_name="probe evaluation of seed {seed}")
def probe_evaluation(record: Record, seed: int, folder: Path) -> str:
    """Probe whether a finished artifact's evaluation is legal; return the file of results, relative to the record's."""
    request, program, data = record.request, record.program, record.dataset
    if program.ours:
        packed_file = record.folder / PACKED
        path = run_probes(record.folder, seed, folder / ARTIFACT, packed_file, data.data_dir, request.knobs)
    else:
        result = read_result(folder)
        artifact = folder / str(result.artifact if result else None)
        path = probe_program(record.folder, seed, artifact, program, record.source, dataset_config(data))
    list_files(record.folder, record.folder, {path.name: sha256_file(path)})
    return path.relative_to(record.folder).as_posix()


def probed(record: Record, seed: int, folder: Path, live: LiveFile) -> Path | None:
    """The file of probe results that the record has, else probe this attempt. None, and a warning, if the probes failed
    to run: what nobody has tested is unknown, and the submission says so."""
    if not can_probe(record.program):
        return None
    try:
        known = known_probes(record.folder, record.program)
        if known:
            log.info("seed %s: probes reused, %s", (of := read_probes(known)).seed, of.count)
            return known
        took = f", which took {clock(live.probes)} in the record before" if live.probes else ""
        log.info("seed %s: probing the evaluation of its artifact%s", seed, took)
        with live.probing():
            path: Path = record.folder / probe_evaluation(record, seed, folder)
    except (RunFailed, BadInput) as e:  # the evaluator may be gone by now
        log.warning("%s", e)
        return None
    found = read_probes(path)
    for failure in found.failures:
        log.error("%s", failure)
    log.info("seed %s: %s", seed, found.count)
    return path


@task(name="verdict", task_run_name="verdict")
def reach_verdict(inputs: RecordInputs) -> Verdict:
    """Audit the logs as a reviewer would, and test the result against the standing record."""
    return judge(inputs)


@task(name="write submission", task_run_name="write submission")
def write_submission(record: Record, inputs: RecordInputs, verdict: Verdict) -> str:
    """Write the submission, or the report; return its folder, relative to the record's."""
    path = write(inputs, verdict, record.folder)
    list_files(record.folder, path, hash_folder(path))
    return path.relative_to(record.folder).as_posix()


class Kept(Protocol):
    """A record whose finished steps are kept in its folder; `inputs` are hashes of all that it depends on."""

    @property
    def folder(self) -> Path:
        """The record's folder."""

    @property
    def inputs(self) -> Mapping[str, str]:
        """SHA-256 by name."""


def persisted(work: Task[..., Any], record: Kept, name: str, *depends: str) -> Any:
    """`work`, its result kept as JSON in the record's folder under a hash of the record's inputs and `depends`."""
    key = hashlib.sha256(json.dumps([dict(record.inputs), *depends], sort_keys=True).encode()).hexdigest()[:16]
    return work.with_options(
        persist_result=True,
        result_storage=record.folder / "results",
        result_serializer="json",
        cache_key_fn=lambda context, parameters: f"{name}-{key}",
    )
