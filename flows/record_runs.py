"""record-runs: a speedrun's record, from two programs to their runs, a verdict, and the folder that is submitted.

plan → trials, where programs can be made short → the runs of both variants, one at a time on one machine, in the plan's
order → verdict → submission, or a report that says why there is none.

The result of a finished step is persisted as JSON in the record's own folder, keyed by the hashes of its inputs: a
second run, or one after a kill, repeats nothing.
"""

import json
import logging
import threading
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.task_runners import ThreadPoolTaskRunner

from pgolf import __version__, tracks
from pgolf.errors import BadInput, RunFailed
from pgolf.evidence.logs import read_run
from pgolf.evidence.manifest import check_files, list_files
from pgolf.evidence.variants import result_of
from pgolf.files import hash_folder
from pgolf.flows.leaving import end_or_leave
from pgolf.flows.pods import api_key, claim, end_cancelled, end_pods, needs_of, pods_of
from pgolf.flows.show import artifact_key, show
from pgolf.flows.tasks import persisted, was_taken_down
from pgolf.pods import Place
from pgolf.pods.failures import ATTEMPTS_MOST
from pgolf.pods.money import spent
from pgolf.pods.needs import Needs
from pgolf.pods.places import Opened, Wanted, check_key, check_rented, check_wanted
from pgolf.pods.ssh import Data
from pgolf.pods.versions import versions_here
from pgolf.record.board import Board
from pgolf.record.folder import remove_others
from pgolf.record.milestones import Milestones
from pgolf.record.news import News
from pgolf.record.orchestrator import Attending, attending
from pgolf.record.outcome import RunsOutcome
from pgolf.record.programs import modules_of
from pgolf.record.refusals import check_runs_start
from pgolf.record.run_results import log_of
from pgolf.record.runs_data import find_data
from pgolf.record.runs_folder import (
    RunsRecord,
    describe_runs,
    gather_runs,
    keep_versions,
    run_job,
    working_on_runs,
)
from pgolf.record.runs_planned import check_runs_costs, one_at_a_time, run_hours
from pgolf.record.runs_request import check_runs
from pgolf.record.runs_trial import check_programs, trial_of_run
from pgolf.record.seeds import has_ended, run_seed
from pgolf.record.stopping import Stop
from pgolf.record.trust import check_trusted
from pgolf.report.runs_inputs import BASELINE, NEW, RunsInputs
from pgolf.report.runs_submission import RunsVerdict, as_written, judge_runs, write_runs_submission
from pgolf.report.target_review import target_markdown
from pgolf.report.target_rows import news_of

log = logging.getLogger("pgolf.record")
logging.getLogger("pgolf").setLevel(logging.INFO)


@flow(
    name="record-runs",
    flow_run_name="record {track}",
    on_failure=[end_pods],
    on_crashed=[end_pods],
    on_cancellation=[end_cancelled],
)
def record_runs(
    track: str,
    program: str,
    baseline: str,
    runs: int | None = None,
    settings: dict[str, str] | None = None,
    env: dict[str, str] | None = None,
    record_id: str | None = None,
    name: str | None = None,
    author: str = "unknown",
    github_id: str = "",
    summary: str = "",
    runs_dir: str = "runs",
    data_dir: str = "data",
    pods: str = "local",
    max_cost: float | None = None,
    max_hours: float | None = None,
    no_bound: bool = False,
    pods_file: str | None = None,
    trust_program: bool = False,
) -> RunsOutcome:
    """Run a speedrun's program and its baseline in turns, test both, and write the submission.

    Started again with the same parameters, it goes on from what is there and repeats nothing that is finished.

    Args:
        track: The rules, with a target: a track's name, or a TOML file.
        program: The trainer: a script, or its folder.
        baseline: The standing record's trainer: a script, or its folder.
        runs: Runs of each, named before the first. Default: the track's.
        settings: Environment variables that the program reads, for it alone.
        env: Environment variables for both.
        record_id: Name of the folder in runs_dir. Default: track, program and a hash of the inputs.
        name: Name of the submission. Default: the program's.
        author: Author of the submission.
        github_id: The author's GitHub name.
        summary: What is new, in one sentence.
        runs_dir: Folder that holds all runs.
        data_dir: Folder that both programs find as `data` beside them.
        pods: Where the runs are: local, ssh (a machine of pods.toml) or runpod (rented).
        max_cost: Dollars that rented pods may cost; at this bound they end.
        max_hours: Hours in which pods may be rented; at this bound they end.
        no_bound: Rent without max_cost, or max_hours, where one is not given.
        pods_file: File with machines and what to rent. Default: PGOLF_PODS_FILE, else pods.toml.
        trust_program: Run programs from a record's folder, which may be anybody's.
    """
    rules = tracks.load(track)
    about = {"name": name, "author": author, "github_id": github_id, "summary": summary}
    request = check_runs(rules, program, baseline, runs, settings, env, **about)  # type: ignore[arg-type]
    for path, theirs in ((program, request.program), (baseline, request.baseline)):
        check_trusted(Path(path), theirs, trust_program)
    file = Path(pods_file) if pods_file else None
    wanted = one_at_a_time(check_wanted(pods, None, False, max_cost, max_hours, file, no_bound))
    check_runs_costs(request, wanted)
    if wanted.kind == "runpod":
        check_key(api_key())
    check_runs_start(request, wanted, Path(runs_dir), record_id)
    check_programs(request, wanted)
    data = find_data(request, Path(data_dir))
    record = describe_runs(Path(runs_dir), request, data, record_id)
    with working_on_runs(record), attending(record.folder, rules.name, request.name, pods, file) as shown:
        log.info("record: %s", record.folder)
        claim(record.id, request.program.name)
        shown.news.begin(f"started, {request.runs} runs of each variant")
        outcome = make(record, wanted, shown)
        reasons = outcome.verdict.reasons
        shown.done(outcome, f"no record: {reasons[0]}" if reasons else "A RECORD")
        return outcome


def make(record: RunsRecord, wanted: Wanted, shown: Attending) -> RunsOutcome:
    """Do all that happens in a record's folder, and show it."""
    check_rented(record.folder, wanted)
    shown.live.show("preflight")
    if wanted.remote:
        log.info("no trial is made: the runs are on another machine")
    else:
        for variant in record.request.programs:
            tried = persisted(try_program, record, f"preflight-{variant}")(record, variant, return_state=True)
            log.info("preflight: %s%s", tried.result(), " (reused)" if tried.name == "Cached" else "")
    shown.live.show("runs")
    finished = run_all(record, wanted, shown)
    shown.live.show("verdict")
    return conclude(record, finished, shown.news)


def run_all(record: RunsRecord, wanted: Wanted, shown: Attending) -> dict[int, Path]:
    """Make the runs of the plan one after another; return the attempts of those that have a result, by their number.

    Where the first run of a variant fails by itself, no other is started: no record can come of it.
    """
    stop = Stop()
    jobs = {variant: run_job(record, variant) for variant in record.request.programs}
    over = {f"{variant} {number}" for number, variant in record.runs if has_ended(jobs[variant], number)}
    left = len(record.runs) - len(over)
    labels = [f"{variant} {number}" for number, variant in record.runs]
    board = Board(
        labels, cost=lambda: spent(record.folder) or None, tell=shown.live.runs, before=shown.live.done_of(over)
    )
    milestones = Milestones(shown.news, labels, over, rows=board.rows)
    pool: ThreadPoolTaskRunner[str] = ThreadPoolTaskRunner(1)
    finished: dict[int, Path] = {}
    with machine_of_all(record, wanted, stop, left) as opened, board, pool:
        try:
            for number, variant in record.runs:
                this = persisted(make_run, record, f"{variant}-{number}")
                given = {"record": record, "variant": variant, "number": number, "board": board, "stop": stop}
                given |= {"milestones": milestones}
                future = pool.submit(this, parameters=given | {"place": opened.place})
                try:
                    folder = record.folder / future.result()
                except (RunFailed, BadInput) as e:
                    log.error("%s", e)
                    if not stop.is_set():
                        milestones.failed(f"{variant} {number}", str(e))
                    if stop.is_set() or number <= 2:  # the plan begins with one run of each variant
                        break
                    continue
                if future.state.name == "Cached":
                    check_files(record.folder, folder)
                    log.info("%s %s: reused, finished before (%s)", variant, number, folder.name)
                finished[number] = folder
        except BaseException as e:
            end_or_leave(stop, e, shown, wanted)  # before the pool waits for its thread
            raise
    return finished


def machine_of_all(
    record: RunsRecord, wanted: Wanted, stop: threading.Event, left: int
) -> AbstractContextManager[Opened]:
    """The one place of all runs, with what both programs need there."""
    programs = record.request.programs
    packages = tuple(dict.fromkeys(name for one in programs.values() for name in one.requires.packages))
    needs = needs_of_both(record)
    root, track = record.data.root if record.data else record.folder, record.request.track
    if not wanted.remote:
        modules = dict.fromkeys(name for one in programs.values() for name in modules_of(one))
        keep_versions(record, versions_here([*modules]), left)
    hours = run_hours(record.request) if wanted.remote else 0.0
    data = Data(root, record.files, packages, needs)
    place: AbstractContextManager[Opened] = pods_of(
        record.folder, wanted, data, stop, ranks=track.nproc, runs=left, hours=hours
    )
    return place


def needs_of_both(record: RunsRecord) -> Needs:
    """What both programs need on a machine, which is made ready once: what they install is the same."""
    each: dict[str, Needs] = {v: needs_of(program, record.source(v)) for v, program in record.request.programs.items()}
    mine, theirs = each[NEW], each[BASELINE]
    first = mine if mine.installs or not theirs.installs else theirs
    modules, optional, commands = (
        tuple(dict.fromkeys([*getattr(mine, kind), *getattr(theirs, kind)]))
        for kind in ("modules", "optional", "commands")
    )
    return replace(first, modules=modules, optional=optional, commands=commands)


@task(name="try program", task_run_name="try {variant}")
def try_program(record: RunsRecord, variant: str) -> str:
    """Run a program on its data, made short; what was found, in a sentence."""
    trial = trial_of_run(record, variant)
    if trial is None:
        why = "it reads no variable that makes it short; `[trial]` in program.toml can name one"
        return f"no trial of {variant} is made: {why}"
    finished = run_seed(trial, 1, threading.Event())
    return f"{variant} runs end to end, and {log_of(finished.folder)} states its validation loss"


@task(name="make run", task_run_name="{variant} {number}", retries=ATTEMPTS_MOST - 1, retry_condition_fn=was_taken_down)
def make_run(
    record: RunsRecord,
    variant: str,
    number: int,
    board: Board,
    milestones: Milestones,
    stop: threading.Event,
    place: Place,
) -> str:
    """Bring one run to its end on a pod; return the folder of the attempt, relative to the record's."""
    label = f"{variant} {number}"
    finished = run_seed(run_job(record, variant), number, stop, show(board, label, record.id, milestones), place)
    list_files(record.folder, finished.folder, finished.files)
    result = result_of(read_run(finished.folder / str(log_of(finished.folder)), finished.folder))
    if result:
        clock = "" if result.seconds is None else f" after {result.seconds:g} s"
        said = f"{label} is done: val_loss {result.loss:.{result.decimals}f} at step {result.step}{clock}"
        log.info("%s", said)
        milestones.news.tell(f"{label} is done", said, "soon" if number <= 2 else "later")  # the first of each variant
    return finished.folder.relative_to(record.folder).as_posix()


def conclude(record: RunsRecord, finished: dict[int, Path], news: News) -> RunsOutcome:
    """From the finished runs to the verdict and its folder."""
    inputs = gather_runs(record, finished)
    verdict = reach_runs_verdict(inputs)
    depends = json.dumps([inputs.depends(), __version__], sort_keys=True, default=str)
    writer = persisted(write_runs, record, "submission", depends)
    state = writer(record, inputs, return_state=True)
    path = record.folder / state.result()
    if not path.exists():  # it was finished before, and someone took it away
        path = record.folder / writer.with_options(refresh_cache=True)(record, inputs)
    elif state.name == "Cached":
        log.info("%s: reused, written before", path.name)
    remove_others(record.folder, path)
    verdict = as_written(verdict, path)
    outcome = RunsOutcome(record.id, record.folder, verdict, path)
    word = "A RECORD" if verdict.positive else "no record"
    said = "\n".join([word, *(f"- {r}" for r in verdict.reasons), *(f"- warning: {w}" for w in verdict.warnings)])
    page = f"{said}\n\n{target_markdown(verdict.audit)}" if verdict.audit else said
    create_markdown_artifact(page, key=f"{artifact_key(record.id)}-verdict", description="The verdict")
    figures = news_of(verdict.audit) if verdict.audit else ()
    news.verdict("\n".join([word, *figures, *said.splitlines()[1:]]))
    return outcome


@task(name="verdict", task_run_name="verdict")
def reach_runs_verdict(inputs: RunsInputs) -> RunsVerdict:
    """Audit the logs as a reviewer would, and test the result against target and baseline."""
    return judge_runs(inputs)


@task(name="write submission", task_run_name="write submission")
def write_runs(record: RunsRecord, inputs: RunsInputs) -> str:
    """Write the submission, or the report; return its folder, relative to the record's."""
    path = write_runs_submission(inputs, record.folder)
    list_files(record.folder, path, hash_folder(path))
    return path.relative_to(record.folder).as_posix()
