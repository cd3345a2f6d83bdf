"""record-3seed: from text and a preset to three seeds, a verdict, and the folder that is submitted.

prepare data → pack trainer → preflight → seeds on pods (the standing record's too, where it has to be measured here),
legality probes of the first finished one → verdict → submission, or a report that says why there is none.

The result of a finished step is persisted as JSON in the record's own folder, keyed by the hashes of its inputs: a
second run, or one after a kill, repeats nothing.
"""

import hashlib
import json
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from prefect import flow, task
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, as_completed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import Task

from pgolf import __version__
from pgolf.audit.measures import Measure
from pgolf.data.dataset import Dataset, check_case, open_dataset
from pgolf.data.pydocs import build
from pgolf.errors import RunFailed
from pgolf.evidence.logs import read_run
from pgolf.evidence.manifest import check_files, list_files
from pgolf.evidence.plan import read_plans
from pgolf.evidence.probes import read_probes
from pgolf.files import hash_folder, sha256_file, write_atomic
from pgolf.flows.pods import api_key, claim, end_pods, pods_of, settle
from pgolf.flows.show import Outcome, publish, show, tell_seed
from pgolf.ledger import StandingRecord, seed_score, write_standing
from pgolf.ledger.choosing import ledger_entry, measured_here
from pgolf.notify import flush, notify
from pgolf.pack.kept import packed
from pgolf.pods import Place
from pgolf.pods.money import spent
from pgolf.pods.places import Wanted, check_key, check_rented, check_wanted
from pgolf.pods.ssh import Data
from pgolf.presets import config_of
from pgolf.record.board import Board
from pgolf.record.early_stop import Judge, incomparable
from pgolf.record.folder import Record, describe_record, gather, scored_sha256, with_rules, working_on
from pgolf.record.preflight import check_disk, check_size, trial_environment
from pgolf.record.probing import known_probes, run_probes
from pgolf.record.request import Request, check_request
from pgolf.record.seeds import ARTIFACT, PROGRAM, EndedEarly, Job, TakenDown, attempts, has_ended, run_seed, share_cores
from pgolf.report.inputs import RecordInputs
from pgolf.report.submission import judge, write, write_unfinished
from pgolf.report.verdict import Verdict
from pgolf.requirements import packages_of
from pgolf.trainer.config import Knob

log = logging.getLogger("pgolf.record")
logging.getLogger("pgolf").setLevel(logging.INFO)


@task(name="prepare data", task_run_name="prepare {request.track.corpus}")
def prepare_data(request: Request, data_dir: Path) -> Dataset:
    """Make or find the track's text as shards, and check it whole."""
    cfg = config_of(request.knobs)
    if request.track.corpus != "pydocs":
        return check_case(open_dataset(data_dir, cfg.vocab_size), cfg.caseops_enabled)

    def tell(what: str, done: int, total: int) -> None:
        if done == 0:
            log.info("data: %s", what)

    dataset = check_case(build(data_dir, tell, vocab_size=cfg.vocab_size), cfg.caseops_enabled)
    log.info("data: %s %s", dataset.name, "reused" if dataset.reused else "made")
    return dataset


@task(name="pack trainer", task_run_name="pack trainer")
def pack_trainer(knobs: Mapping[str, Knob]) -> bytes:
    """Pack the trainer into one file whose defaults are these knobs."""
    return packed(knobs)


@task(name="preflight", task_run_name="preflight")
def preflight(record: Record, environment: dict[str, str], wanted: Wanted) -> int:
    """Project the size, and run the packed file end to end on little text; return the projected bytes.

    If seeds will run elsewhere, the trial is here on two ranks; with `rehearse`, on the small pod of the settings.
    """
    request, folder, track = record.request, record.folder / "preflight", record.request.track
    projected = check_size(request, len(record.program))
    elsewhere = wanted if wanted.rehearse else check_wanted()
    ranks = min(2, track.nproc) if wanted.remote else track.nproc
    if wanted.rehearse:
        ranks = wanted.settings.runpod.rehearse.gpu_count or 1
    tiny = trial_environment(request.knobs, environment, ranks, folder / "data")
    trial = Job("preflight, seed", folder, record.folder / PROGRAM, tiny, ranks, retry_failed=True)
    data = Data(folder / "data", hash_folder(folder / "data"), packages_of(request.knobs))
    stop = threading.Event()
    with pods_of(record, elsewhere, data, stop, ranks, runs=1, rehearsal=True) as opened:
        run_seed(trial, request.seeds[0], stop, place=opened.place)
    return projected


def was_taken_down(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Whether a failed seed may be started again."""
    return isinstance(state.data, TakenDown)


@task(name="train seed", task_run_name="{job.name} {seed}", retries=2, retry_condition_fn=was_taken_down)
def train_seed(
    record: Record, job: Job, seed: int, board: Board, stop: threading.Event, place: Place, judge: Judge
) -> str:
    """Run one seed to its end on a pod; return the folder of the attempt, relative to the record's."""
    try:
        finished = run_seed(job, seed, stop, show(board, f"{job.name} {seed}"), place, judge)
    except EndedEarly as e:
        notify(f"{record.id}: {e}")
        raise
    list_files(record.folder, finished.folder, finished.files)
    if job.name == "seed":
        tell_seed(record, finished.folder)
    return finished.folder.relative_to(record.folder).as_posix()


@task(name="probe evaluation", task_run_name="probe evaluation of seed {seed}")
def probe_evaluation(record: Record, seed: int, folder: Path) -> str:
    """Probe whether a finished artifact's evaluation is legal; return the file of results, relative to the record's."""
    program, data = record.folder / PROGRAM, record.dataset.data_dir
    path = run_probes(record.folder, seed, folder / ARTIFACT, program, data, record.request.knobs)
    list_files(record.folder, record.folder, {path.name: sha256_file(path)})
    return path.relative_to(record.folder).as_posix()


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


@flow(
    name="record-3seed",
    flow_run_name="record {track}",
    on_failure=[end_pods],
    on_crashed=[end_pods],
    on_cancellation=[end_pods],
)
def record_3seed(
    track: str = "cpu_smoke",
    preset: str | None = None,
    seeds: list[int] | None = None,
    knobs: dict[str, str | float | int | bool] | None = None,
    record_id: str | None = None,
    name: str | None = None,
    author: str = "unknown",
    github_id: str = "",
    summary: str = "",
    runs_dir: str = "runs",
    data_dir: str = "data",
    parallel: int | None = None,
    pods: str = "local",
    pods_at_once: int | None = None,
    rehearse: bool = False,
    max_cost: float | None = None,
    max_hours: float | None = None,
    pods_file: str | None = None,
    probe: bool = True,
    stop_early: bool | None = None,
    stop_hopeless: bool | None = None,
) -> Outcome:
    """Train the seeds of a record, test them against the standing record, and write the submission.

    Started again with the same parameters, it goes on from what is there and repeats nothing that is finished.

    Args:
        track: The rules: a track's name, or a TOML file.
        preset: The knobs: a preset's name, or a TOML file. Default: the track's.
        seeds: Seeds, named before the first run. Default: the track's.
        knobs: Knobs to set on top of the preset: {"ttt_epochs": 5}.
        record_id: Name of the folder in runs_dir. Default: track, preset and a hash of the inputs.
        name: Name of the submission. Default: the preset's.
        author: Author of the submission.
        github_id: The author's GitHub name.
        summary: What is new, in one sentence.
        runs_dir: Folder that holds all runs.
        data_dir: Folder that holds the datasets; the dataset's own folder if the track's text is not made by pgolf.
        parallel: Seeds that run at the same time on this machine. Default: as many as there are cores for.
        pods: Where the seeds run: local, ssh (the machines of pods.toml) or runpod (rented).
        pods_at_once: Pods at the same time; fewer than seeds run them one after another. Default: one a seed.
        rehearse: Run the packed file end to end on a small pod first.
        max_cost: Dollars that all pods may cost; at this bound they end.
        max_hours: Hours that pods may be rented; at this bound they end.
        pods_file: File with machines and what to rent. Default: PGOLF_PODS_FILE, else pods.toml.
        probe: Probe here whether the evaluation is legal, on the first finished artifact.
        stop_early: End a seed that misses a hard limit, or is bound to; it is not replaced. Default: on rented pods.
        stop_hopeless: End a seed whose loss is hopelessly above the standing record's; it is not replaced. Default: no.
    """
    who = {"author": author, "github_id": github_id}
    request = check_request(track, preset, seeds, knobs, name=name, summary=summary, probe=probe, **who)
    check_disk(request, Path(runs_dir))
    wanted = check_wanted(pods, pods_at_once, rehearse, max_cost, max_hours, Path(pods_file) if pods_file else None)
    if wanted.kind == "runpod":
        check_key(api_key())
    dataset = prepare_data(request, Path(data_dir))
    program = pack_trainer(request.knobs)
    record = describe_record(Path(runs_dir), request, dataset, program, record_id)
    record = with_rules(record, stop_early, stop_hopeless, rented=wanted.kind == "runpod")
    with working_on(record):
        log.info("record: %s", record.folder)
        claim(record.id)
        notify(f"{record.id}: started, seeds {', '.join(map(str, record.request.seeds))}")
        try:
            return make(record, parallel, wanted)
        except Exception as e:
            notify(f"{record.id}: failed: {e}")
            raise
        finally:
            flush()


def make(record: Record, parallel: int | None, wanted: Wanted) -> Outcome:
    """Do all that happens in a record's folder."""
    check_rented(record.folder, wanted)
    track, seeds = record.request.track, record.request.seeds
    standing = ledger_entry(track, scored_sha256(record))
    if torch.cuda.is_available():
        parallel = parallel or 1  # a run has all GPUs
    at_once, threads = share_cores(len(seeds) * (1 if standing else 2), track.nproc, parallel)
    if wanted.remote:
        at_once, threads = wanted.at_once or len(seeds), 1
    environment = {"DATA_DIR": str(record.dataset.data_dir), "OMP_NUM_THREADS": str(threads)}

    rehearsed = ["rehearsed"] if wanted.rehearse else []
    checked = persisted(preflight, record, "preflight", *rehearsed)(record, environment, wanted, return_state=True)
    sizes = f"about {checked.result():,} of {track.limits.artifact_bytes:,} bytes"
    log.info("preflight: runs end to end, %s%s", sizes, " (reused)" if checked.name == "Cached" else "")
    jobs = [Job("seed", record.folder / "seeds", record.folder / PROGRAM, environment, track.nproc)]
    if standing is None:
        assert record.request.baseline is not None  # `ledger_entry` has refused a track without a baseline
        program = record.folder / "baseline" / PROGRAM
        write_atomic(program, pack_trainer(record.request.baseline))
        jobs.insert(0, Job("baseline", program.parent, program, environment, track.nproc))
    finished = train(record, jobs, at_once, standing, wanted)
    if standing is None:
        standing = measured_here(track, list(finished["baseline"].values()), read_plans(record.folder)[0].created[:10])
        write_standing(record.folder / "baseline" / "standing.json", standing)
    return conclude(record, finished["seed"], standing)


def train(
    record: Record, jobs: Sequence[Job], at_once: int, standing: StandingRecord | None, wanted: Wanted
) -> dict[str, dict[int, Path]]:
    """Run every seed of every job on pods, `at_once` at the same time; return the finished attempts by job and seed.

    When this process is told to stop, every seed is.
    """
    runs = [(job, seed) for job in jobs for seed in record.request.seeds]
    stop = threading.Event()
    pool: ThreadPoolTaskRunner[str] = ThreadPoolTaskRunner(at_once)
    labels = [f"{job.name} {seed}" for job, seed in runs]
    knobs = {"seed": record.request.knobs, "baseline": record.request.baseline or {}}
    packages = packages_of(*(knobs[job.name] for job in jobs))
    data = Data(record.dataset.data_dir, record.dataset.files, packages)
    place = pods_of(record, wanted, data, stop, record.request.track.nproc, sum(not has_ended(*run) for run in runs))
    track, per_token = record.request.track, record.dataset.val_bytes / record.dataset.val_tokens
    limits = track.limits
    shown = Board(
        labels,
        standing=standing,
        limits=limits,
        bytes_per_token=per_token,
        cost=lambda: spent(record.folder) or None,
    )
    judges = {"baseline": Judge((), limits, track.early_stop), "seed": judge_of(record, standing)}
    with place as opened, shown as board, pool:
        try:
            futures: list[PrefectFuture[str]] = []
            for job, seed in runs:
                this = persisted(train_seed, record, f"{job.name}-{seed}", sha256_file(job.program), str(seed))
                given = {"record": record, "job": job, "seed": seed, "board": board, "stop": stop}
                given |= {"place": opened.place, "judge": judges[job.name]}
                futures.append(pool.submit(this, parameters=given))
            probes = None
            for future in as_completed(futures):
                job, seed = runs[futures.index(future)]
                if job.name == "seed" and record.request.probe and not probes and future.state.is_completed():
                    probes = probed(record, seed, record.folder / future.result())
        except BaseException:
            stop.set()  # before the pool waits for its threads
            raise
    settle(record)
    if opened.budget and opened.budget.over:
        raise RunFailed(opened.budget.over)
    return collect(record, runs, futures)


def judge_of(record: Record, standing: StandingRecord | None) -> Judge:
    """The rules of the record's plan; no loss ends a seed if it does not compare with the standing record's."""
    track, config = record.request.track, config_of(record.request.knobs)
    why = incomparable(standing, config, record.dataset.val_bytes / record.dataset.val_tokens)
    if why and "loss" in record.early_stop:
        log.warning("no seed is ended for a hopeless loss: %s", why)
    limits, clock = track.limits, config.max_wallclock_seconds
    capped = clock > 0 and Measure("training", "s", limits.train_seconds, clock, limits.grace_seconds).status != "fail"
    return Judge(record.early_stop, limits, track.early_stop, capped, None if why else standing)


def probed(record: Record, seed: int, folder: Path) -> Path | None:
    """The file of probe results that the record has, else probe this attempt. None, and a warning, if the probes failed
    to run: what nobody has tested is unknown, and the submission says so."""
    known = known_probes(record.folder, record.folder / PROGRAM)
    if known:
        return known
    log.info("seed %s: probing the evaluation of its artifact", seed)
    try:
        path = record.folder / probe_evaluation(record, seed, folder)
    except RunFailed as e:
        log.warning("%s", e)
        return None
    failures = read_probes(path).failures
    for failure in failures:
        log.error("%s", failure)
    log.info("seed %s: %s", seed, f"{len(failures)} probes fail" if failures else "no probe fails")
    return path


def collect(
    record: Record, runs: Sequence[tuple[Job, int]], futures: Sequence[PrefectFuture[str]]
) -> dict[str, dict[int, Path]]:
    """The finished attempts by job and seed, reused ones checked. A failed seed is left out, and logged.

    Raises
    ------
    RunFailed : a seed of the baseline failed, or every seed of the record; a reused file is not what it was.
    """
    finished: dict[str, dict[int, Path]] = {job.name: {} for job, _ in runs}
    for (job, seed), future in zip(runs, futures, strict=True):
        try:
            folder = record.folder / future.result()
        except RunFailed as e:
            if job.name == "baseline":
                raise
            log.error("%s", e)
            continue
        if future.state.name == "Cached":
            check_files(record.folder, folder)
            log.info("%s %s: reused, finished before (%s)", job.name, seed, folder.name)
        finished[job.name][seed] = folder
    if not finished["seed"]:
        tried = attempts(record.folder, record.request.seeds)
        report = write_unfinished(record.id, record.request.name, read_plans(record.folder), tried, record.folder)
        raise RunFailed(f"no seed finished; {report} says why")
    return finished


def conclude(record: Record, finished: Mapping[int, Path], standing: StandingRecord) -> Outcome:
    """From finished seeds to the verdict and its folder."""
    probes = probed(record, *next(iter(finished.items()))) if record.request.probe else None
    inputs = replace(gather(record, finished, standing), probes=probes)
    verdict = reach_verdict(inputs)
    depends = json.dumps([inputs.depends(), __version__], sort_keys=True, default=str)
    writer = persisted(write_submission, record, "submission", depends)
    state = writer(record, inputs, verdict, return_state=True)
    path = record.folder / state.result()
    if not path.exists():  # it was finished before, and someone took it away
        path = record.folder / writer.with_options(refresh_cache=True)(record, inputs, verdict)
    elif state.name == "Cached":
        log.info("%s: reused, written before", path.name)
    scores = tuple(seed_score(read_run(run.log)) for run in inputs.runs)
    outcome = Outcome(record.id, record.folder, scores, verdict, path)
    publish(outcome)
    return outcome


def persisted(work: Task[..., Any], record: Record, name: str, *depends: str) -> Any:
    """`work`, its result kept as JSON in the record's folder under a hash of the record's inputs and `depends`."""
    key = hashlib.sha256(json.dumps([dict(record.inputs), *depends], sort_keys=True).encode()).hexdigest()[:16]
    return work.with_options(
        persist_result=True,
        result_storage=record.folder / "results",
        result_serializer="json",
        cache_key_fn=lambda context, parameters: f"{name}-{key}",
    )
