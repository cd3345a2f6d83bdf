"""record-3seed: from text and a preset to three seeds, a verdict, and the folder that is submitted.

prepare data → pack trainer → preflight → seeds on pods (the standing record's too, where it has to be measured here),
legality probes of the first finished one → verdict → submission, or a report that says why there is none.

The result of a finished step is persisted as JSON in the record's own folder, keyed by the hashes of its inputs: a
second run, or one after a kill, repeats nothing.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from prefect import flow
from prefect.futures import PrefectFuture, as_completed
from prefect.task_runners import ThreadPoolTaskRunner

from pgolf import __version__
from pgolf.audit.measures import Measure
from pgolf.data.source import read_source
from pgolf.errors import BadInput, RunFailed
from pgolf.evidence.logs import read_run
from pgolf.evidence.manifest import check_files, list_files, list_machines
from pgolf.evidence.plan import read_plans
from pgolf.files import hash_folder
from pgolf.flows.leaving import end_or_leave
from pgolf.flows.pods import api_key, claim, end_cancelled, end_pods, hours_of, needs_of, pods_of
from pgolf.flows.show import publish
from pgolf.flows.tasks import (
    pack_trainer,
    persisted,
    preflight,
    prepare_data,
    probed,
    reach_verdict,
    train_seed,
    write_submission,
)
from pgolf.ledger import StandingRecord, seed_score, write_standing
from pgolf.ledger.choosing import ledger_entry, measured_here
from pgolf.pods.money import spent
from pgolf.pods.places import Wanted, check_key, check_rented, check_wanted
from pgolf.pods.ssh import Data
from pgolf.pods.versions import versions_here
from pgolf.presets import config_of
from pgolf.record.board import Board
from pgolf.record.earlier import earlier_course, earlier_probes
from pgolf.record.early_stop import SAME_KNOBS, Judge, incomparable
from pgolf.record.folder import (
    Record,
    baseline_job,
    describe_record,
    gather,
    other_text,
    remove_others,
    scored_sha256,
    seed_job,
    with_rules,
    working_on,
)
from pgolf.record.job import Job, share_cores
from pgolf.record.milestones import Milestones
from pgolf.record.orchestrator import Attending, attending
from pgolf.record.outcome import Outcome
from pgolf.record.planned import check_costs
from pgolf.record.probing import can_probe, known_probes
from pgolf.record.programs import (
    dataset_config,
    environment_of,
    modules_of,
    own_program,
)
from pgolf.record.refusals import check_start
from pgolf.record.request import check_request, check_to_beat
from pgolf.record.seeds import attempts, has_ended
from pgolf.record.short import text_of
from pgolf.record.stopping import Stop
from pgolf.record.trust import check_trusted
from pgolf.report.submission import write_unfinished
from pgolf.report.tables import verdict_line

log = logging.getLogger("pgolf.record")
logging.getLogger("pgolf").setLevel(logging.INFO)


@flow(
    name="record-3seed",
    flow_run_name="record {track}",
    on_failure=[end_pods],
    on_crashed=[end_pods],
    on_cancellation=[end_cancelled],
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
    no_bound: bool = False,
    pods_file: str | None = None,
    probe: bool = True,
    stop_early: bool | None = None,
    stop_hopeless: bool | None = None,
    program: str | None = None,
    env: dict[str, str] | None = None,
    pack_script: bool = False,
    evaluator: str | None = None,
    against: str | None = None,
    non_record: bool = False,
    trust_program: bool = False,
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
        max_cost: Dollars that rented pods may cost; at this bound they end.
        max_hours: Hours in which pods may be rented; at this bound they end.
        no_bound: Rent without max_cost, or max_hours, where one is not given.
        pods_file: File with machines and what to rent. Default: PGOLF_PODS_FILE, else pods.toml.
        probe: Probe here whether the evaluation is legal, on the first finished artifact.
        stop_early: End a seed that misses a hard limit, or is bound to; it is not replaced. Default: on rented pods.
        stop_hopeless: End a seed whose loss is hopelessly above the standing record's; it is not replaced. Default: no.
        program: A trainer of your own: a script, its folder, or a record's folder. Default: pgolf's.
        env: Environment variables for the program, beside those of `knobs`, which it must read: {"NCCL_DEBUG": "WARN"}.
        pack_script: Pack the program's script into one small file first.
        evaluator: The program's evaluation for the legality probes, as FILE:make_evaluator.
        against: The record to beat: a ledger entry, a record folder, or numbers. Default: the track's standing one.
        non_record: Write the submission also if it is no record, as a non-record one; fewer seeds are allowed.
        trust_program: Run a program from a record's folder, which may be anybody's; a script and an ordinary folder are
            the user's own.
    """
    request = check_request(
        track,
        preset,
        seeds,
        knobs,
        name=name,
        author=author,
        github_id=github_id,
        summary=summary,
        probe=probe,
        program=program,
        env=env,
        packed=pack_script,
        evaluator=evaluator,
        against=against,
        non_record=non_record,
    )
    check_to_beat(request)
    if program and request.theirs:
        check_trusted(Path(program), request.theirs, trust_program)
    file = Path(pods_file) if pods_file else None
    wanted = check_wanted(pods, pods_at_once, rehearse, max_cost, max_hours, file, no_bound)
    check_costs(request, wanted)
    if wanted.kind == "runpod":
        check_key(api_key())
    check_start(request, wanted, Path(runs_dir), Path(data_dir), record_id, (stop_early, stop_hopeless))
    dataset = prepare_data(request, Path(data_dir))
    runs = request.theirs or own_program(pack_trainer(request.knobs), Path(request.preset).stem, request.knobs)
    record = describe_record(Path(runs_dir), request, dataset, runs, record_id, (stop_early, stop_hopeless))
    record = with_yardstick(record, Path(data_dir), wanted)
    record = with_rules(record, stop_early, stop_hopeless, rented=wanted.kind == "runpod")
    about = request.track.name, request.name, pods, file
    with working_on(record), attending(record.folder, *about) as shown:
        log.info("record: %s", record.folder)
        claim(record.id, request.preset if request.theirs else Path(request.preset).stem)
        shown.news.begin(f"started, seeds {', '.join(map(str, record.request.seeds))}")
        outcome = make(record, parallel, wanted, shown)
        shown.done(outcome, verdict_line(outcome.verdict, outcome.scores))
        return outcome


def with_yardstick(record: Record, data_dir: Path, wanted: Wanted) -> Record:
    """The record with the text in the vocabulary of the track's baseline, where its program has another one.

    Raises
    ------
    BadInput : that text would have to be on pods elsewhere, which have the program's.
    """
    request = record.request
    if request.against or not request.baseline or request.baseline["vocab_size"] == record.dataset.vocab_size:
        return record
    if wanted.remote:
        raise BadInput(
            f"track {request.track.name} measures its standing record with another vocabulary than that of "
            f"{record.program.name}, which is done on this machine only; name the record to beat with --against"
        )
    return replace(record, yardstick=prepare_data(replace(request, theirs=None, knobs=request.baseline), data_dir))


def make(record: Record, parallel: int | None, wanted: Wanted, shown: Attending) -> Outcome:
    """Do all that happens in a record's folder, and show it."""
    check_rented(record.folder, wanted)
    track, seeds = record.request.track, record.request.seeds
    standing = record.request.against or ledger_entry(track, scored_sha256(record))
    if torch.cuda.is_available():
        parallel = parallel or 1  # a run has all GPUs
    at_once, threads = share_cores(len(seeds) * (1 if standing else 2), track.nproc, parallel)
    if wanted.remote:
        at_once, threads = wanted.at_once or len(seeds), 1
    environment = environment_of(record.program, dataset_config(record.dataset), threads)

    shown.live.show("preflight")
    rehearsed = ["rehearsed"] if wanted.rehearse else []
    checked = persisted(preflight, record, "preflight", *rehearsed)(record, environment, wanted, return_state=True)
    for finding in checked.result():
        log.info("preflight: %s%s", finding, " (reused)" if checked.name == "Cached" else "")
    jobs = [seed_job(record, environment)]
    if standing is None:
        assert record.request.baseline is not None  # `ledger_entry` has refused a track without a baseline
        code = pack_trainer(record.request.baseline)
        jobs.insert(0, baseline_job(record, code, threads))
    shown.live.show("seeds")
    finished = train(record, jobs, at_once, standing, wanted, shown)
    if standing is None:
        standing = measured_here(track, list(finished["baseline"].values()), read_plans(record.folder)[0].created[:10])
        write_standing(record.folder / "baseline" / "standing.json", standing)
    return conclude(record, finished["seed"], standing, shown)


def train(
    record: Record,
    jobs: Sequence[Job],
    at_once: int,
    standing: StandingRecord | None,
    wanted: Wanted,
    shown: Attending,
) -> dict[str, dict[int, Path]]:
    """Run every seed of every job on pods, `at_once` at the same time; return the finished attempts by job and seed.

    When this process is told to stop, every seed is, or goes on without it: see `end_or_leave`.
    """
    runs = [(job, seed) for job in jobs for seed in record.request.seeds]
    stop = Stop()
    pool: ThreadPoolTaskRunner[str] = ThreadPoolTaskRunner(at_once)
    labels = [f"{job.name} {seed}" for job, seed in runs]
    packages = tuple(dict.fromkeys(name for job in jobs for name in job.program.requires.packages))
    dataset, needs = record.dataset, needs_of(record.program, record.source)
    data = Data(dataset.data_dir, dataset.files, packages, needs, read_source(dataset) if wanted.remote else None)
    if not wanted.remote:
        list_machines(record.folder, {"here": {"versions": versions_here(modules_of(record.program))}})
    track, over = record.request.track, {label for label, run in zip(labels, runs, strict=True) if has_ended(*run)}
    left = len(runs) - len(over)
    place = pods_of(record.folder, wanted, data, stop, ranks=track.nproc, runs=left, hours=hours_of(track.limits))
    per_token = dataset.val_bytes / dataset.val_tokens
    limits = track.limits
    if other := other_text(record, standing):
        log.warning("no gain over the record to beat is shown: %s", other)
        standing = None
    judges = {"baseline": Judge((), limits, track.early_stop), "seed": judge_of(record, standing, other)}
    knobs = record.request.knobs if record.program.ours else None
    if record.request.probe and can_probe(record.program) and not known_probes(record.folder, record.program):
        shown.live.probes = earlier_probes(record.folder)
    board = Board(
        labels,
        standing=standing,
        limits=limits,
        bytes_per_token=per_token,
        cost=lambda: spent(record.folder) or None,
        earlier={"seed": course} if (course := earlier_course(record.folder, knobs)) else None,
        tell=shown.live.runs,
        losses_compare=judges["seed"].standing is not None,
        remarks=[f"no gain is shown: {other}"] if other else [],
        before=shown.live.done_of(over),
    )
    shown.live.beside(board.standing)
    milestones = Milestones(shown.news, labels, over, judges["seed"], standing, board.rows)
    with place as opened, board, pool:
        try:
            futures: list[PrefectFuture[str]] = []
            for job, seed in runs:
                this = persisted(train_seed, record, f"{job.name}-{seed}", job.program.sha256, str(seed))
                given = {"record": record, "job": job, "seed": seed, "board": board, "milestones": milestones}
                given |= {"stop": stop, "place": opened.place, "judge": judges[job.name]}
                futures.append(pool.submit(this, parameters=given))
            probes = None
            for future in as_completed(futures):
                future.wait()  # takes its final state, of which the server may not have heard yet
                job, seed = runs[futures.index(future)]
                if job.name == "seed" and record.request.probe and not probes and future.state.is_completed():
                    probes = probed(record, seed, record.folder / future.result(), shown.live)
        except BaseException as e:
            end_or_leave(stop, e, shown, wanted)  # before the pool waits for its threads
            raise
    return collect(record, runs, futures)


def judge_of(record: Record, standing: StandingRecord | None, other: str | None) -> Judge:
    """The rules of the record's plan; no loss ends a seed if it does not compare with the standing record's, for one as
    that is of `other` text."""
    track, config = record.request.track, config_of(record.request.knobs)
    if record.program.ours:
        knobs: dict[str, str | None] = {name: str(getattr(config, name)) for name in SAME_KNOBS}
    else:
        knobs = {name: text_of(record.program, name.upper()) for name in SAME_KNOBS}
    why = other or incomparable(standing, knobs, record.dataset.val_bytes / record.dataset.val_tokens)
    if why and "loss" in record.early_stop:
        log.warning("no seed is ended for a hopeless loss: %s", why)
    limits, clock = track.limits, config.max_wallclock_seconds
    capped = record.program.ours and clock > 0
    capped = capped and Measure("training", "s", limits.train_seconds, clock, limits.grace_seconds).status != "fail"
    return Judge(record.early_stop, limits, track.early_stop, capped, None if why else standing)


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
        except (RunFailed, BadInput) as e:  # the latter where an API refuses what is asked for this seed
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
        list_files(record.folder, report, hash_folder(report))
        raise RunFailed(f"no seed finished; {report} says why")
    return finished


def conclude(record: Record, finished: Mapping[int, Path], standing: StandingRecord, shown: Attending) -> Outcome:
    """From finished seeds to the verdict and its folder."""
    probes = probed(record, *next(iter(finished.items())), shown.live) if record.request.probe else None
    shown.live.show("verdict")
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
    remove_others(record.folder, path)
    scores = tuple(replace(seed_score(read_run(run.log)), seed=run.seed) for run in inputs.runs)
    outcome = Outcome(record.id, record.folder, scores, verdict, path)
    publish(outcome, shown.news)
    return outcome
