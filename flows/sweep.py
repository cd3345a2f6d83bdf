"""sweep: one training, many candidates of evaluation and quantisation, the best that fits, and fresh seeds of it.
ablation: the knobs in which two presets differ, one at a time and together, over seeds.

Each candidate's result is a file in the sweep's folder: a second run, or one after a kill, repeats nothing, and a run
with more candidates tries only those. The correction counts every candidate that was ever started.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from pgolf import presets
from pgolf.errors import RunFailed
from pgolf.evidence.plan import Kind
from pgolf.files import sha256_file, write_atomic, write_json
from pgolf.flows.record import record_3seed
from pgolf.flows.show import artifact_key, show
from pgolf.flows.tasks import pack_trainer, prepare_data, was_taken_down
from pgolf.ledger.choosing import standing_record
from pgolf.phrases import counted
from pgolf.record.board import Board
from pgolf.record.folder import Record, describe_record, working_on
from pgolf.record.job import share_cores
from pgolf.record.orchestrator import Attending, attending
from pgolf.record.outcome import Outcome, SweepOutcome
from pgolf.record.programs import own_program
from pgolf.record.refusals import check_sweep_start
from pgolf.record.request import Request
from pgolf.record.rows import Row
from pgolf.sweep.attribution import Effect, attribute
from pgolf.sweep.candidates import Candidate, Needs
from pgolf.sweep.choice import Bounds, Choice, Luck, bounds, choose, luck
from pgolf.sweep.plan import check_margins, plan_ablation, plan_sweep
from pgolf.sweep.report import ablation_markdown, sweep_markdown
from pgolf.sweep.trials import Bench, Trial

log = logging.getLogger("pgolf.sweep")
Run = tuple[Candidate, int]  # with this seed


@dataclass(frozen=True)
class Swept:
    """The outcome of a sweep: its folder and report, the choice, and the record with fresh seeds, if asked for."""

    folder: Path
    report: Path
    choice: Choice
    luck: Luck | None
    confirmed: Outcome | None

    def as_json(self) -> dict[str, Any]:
        """The content that `pgolf sweep --json` prints; unknown is null."""
        return {
            "folder": str(self.folder),
            "report": str(self.report),
            "winner": asdict(self.choice.winner),
            "tried": self.choice.tried,
            "ranking": [asdict(trial) | {"misses": why} for trial, why in self.choice.ranking],
            "p": self.luck.p if self.luck else None,
            "p_corrected": self.luck.corrected if self.luck else None,
            "confirmed": self.confirmed.as_json() if self.confirmed else None,
        }


@dataclass(frozen=True)
class Ablated:
    """The outcome of an ablation: its folder and report, and the table."""

    folder: Path
    report: Path
    effects: tuple[Effect, ...]

    def as_json(self) -> dict[str, Any]:
        """The content that `pgolf ablate --json` prints."""
        return {
            "folder": str(self.folder),
            "report": str(self.report),
            "effects": [asdict(e) | {"shown": e.shown} for e in self.effects],
        }


@task(
    name="try candidate",
    task_run_name="{candidate.label} {seed}",
    retries=2,
    retry_condition_fn=was_taken_down,
    cache_policy=NO_CACHE,
)
def try_candidate(bench: Bench, candidate: Candidate, seed: int, board: Board) -> Trial:
    """Run one candidate to its score, or return the result that it has."""
    if known := bench.known(candidate, seed):
        log.info("%s %s: reused, tried before", candidate.label, seed)
        return known
    label = label_of((candidate, seed))
    trial = bench.run(candidate, seed, show(board, label, bench.folder.name))
    if trial.state != "scored":
        board.settle(label, row_of(label, trial))
    return trial


def board_of(bench: Bench, runs: Sequence[Run], shown: Attending) -> Board:
    """The view of all runs of a sweep: those to come, and those that were tried before."""
    takes = {label_of(run): f"{bench.takes(run[0])} {run[0].stages}" for run in runs}
    known = {label_of(run): trial for run in runs if (trial := bench.known(*run))}
    return Board(
        list(takes),
        tell=shown.live.runs,
        before={label: row_of(label, trial) for label, trial in known.items()},
        kind=lambda label: takes[label],
    )


def announce(bench: Bench, runs: Sequence[Run]) -> None:
    """Say how many runs there are, of how many candidates, and how many of them have a result."""
    known = sum(bench.known(*run) is not None for run in runs)
    all_runs = counted(len(runs), "run") + (f", {known:,} of them known" if known else "")
    tried, seeds = {candidate for candidate, _ in runs}, {seed for _, seed in runs}
    log.info("%s: %s on %s", all_runs, counted(len(tried), "candidate"), counted(len(seeds), "seed"))


def label_of(run: Run) -> str:
    """A candidate and its seed in words."""
    return f"{run[0].label} {run[1]}"


def row_of(label: str, trial: Trial) -> Row:
    """A candidate that was tried before, as a view shows it."""
    if trial.state == "scored":
        return Row(label, stage="done", val_bpb=trial.val_bpb)
    return Row(label, stage=trial.state, error=trial.reason or trial.state)


def try_all(bench: Bench, runs: Sequence[Run], at_once: int, board: Board) -> list[Trial]:
    """Try candidates, `at_once` at the same time. When this process is told to stop, every candidate is."""
    pool: ThreadPoolTaskRunner[Trial] = ThreadPoolTaskRunner(at_once)
    with pool:
        try:
            futures: list[PrefectFuture[Trial]] = [
                pool.submit(
                    try_candidate,
                    parameters={"bench": bench, "candidate": candidate, "seed": seed, "board": board},
                )
                for candidate, seed in runs
            ]
            return [future.result() for future in futures]
        except BaseException:
            bench.stop.set()  # before the pool waits for its threads
            raise


@flow(name="sweep", flow_run_name="sweep {track} {preset}")
def sweep(
    track: str = "cpu_smoke",
    preset: str | None = None,
    seed: int = 1337,
    knobs: dict[str, str | float | int | bool] | None = None,
    grid: list[str] | None = None,
    candidates: list[str] | None = None,
    space_file: str | None = None,
    artifact: str | None = None,
    checkpoint: str | None = None,
    confirm: bool = False,
    confirm_seeds: list[int] | None = None,
    time_margin: float = 0.0,
    size_margin: int = 0,
    sweep_id: str | None = None,
    runs_dir: str = "runs",
    data_dir: str = "data",
    parallel: int | None = None,
) -> Swept:
    """Train once, try many configurations of evaluation and quantisation, choose the best that fits.

    Args:
        track: The rules: a track's name, or a TOML file.
        preset: The knobs: a preset's name, or a TOML file. Default: the track's.
        seed: Seed of the one training; must not be one of confirm_seeds.
        knobs: Knobs to set on top of the preset: {"ttt_epochs": 5}.
        grid: "KNOB=a,b,c" each; every combination is a candidate.
        candidates: "KNOB=a OTHER=b" each.
        space_file: TOML with [grid] and [[candidates]].
        artifact: A finished artifact to evaluate instead of training.
        checkpoint: A finished training's checkpoint to quantise and evaluate instead of training.
        confirm: Make the record of the chosen configuration.
        confirm_seeds: Seeds of that record, named before anything runs. Default: the track's.
        time_margin: Seconds of the limit on evaluation to leave free.
        size_margin: Bytes of the limit on the artifact to leave free.
        sweep_id: Name of the folder in runs_dir. Default: made of the inputs.
        runs_dir: Folder that holds all runs.
        data_dir: Folder that holds the datasets.
        parallel: Candidates at the same time. Default: one a core.
    """
    plan = plan_sweep(
        track,
        preset,
        seed,
        knobs,
        grid or (),
        candidates or (),
        space_file,
        artifact,
        checkpoint,
        confirm_seeds,
    )
    request, tried, given = plan.request, plan.tried, plan.given
    check_margins(request.track.limits, time_margin, size_margin)
    kept = bounds(request.track.limits, time_margin, size_margin)
    record = prepare(request, "sweep", f"sweep-{{}}-{seed}", sweep_id, runs_dir, data_dir, given)
    label = Path(request.preset).stem
    with working_on(record), attending(record.folder, request.track.name, f"sweep of {label}", chat=False) as shown:
        log.info("sweep: %s", record.folder)
        bench, at_once = set_up(record, given, parallel, kept.eval_seconds)
        first, *others = [(candidate, seed) for candidate in tried]
        announce(bench, [first, *others])
        with board_of(bench, [first, *others], shown) as board:
            shown.live.show("the base")
            (base,) = try_all(bench, [first], 1, board)
            shown.live.show("candidates")
            try_all(bench, others, at_once, board)
        choice = choose(bench.all_known(), kept)
        found = luck_of(choice, request, base)
        report = write_report(record, choice, kept, found, f"Not yet: `{confirm_command(track, request, choice)}`.")
        shown.done(SweepOutcome("sweep", record.folder, report, said := describe_choice(choice)), said)
    confirmed = confirm_winner(record, track, choice, runs_dir, data_dir, parallel) if confirm else None
    if confirmed:
        write_report(record, choice, kept, found, describe_confirmed(confirmed))
    return Swept(record.folder, report, choice, found, confirmed)


def prepare(
    request: Request,
    kind: Kind,
    name: str,
    own_id: str | None,
    runs_dir: str,
    data_dir: str,
    given: Mapping[Needs, Path],
) -> Record:
    """Prepare data and program, and describe the record; `name` has a place for the name made of the inputs."""
    check_sweep_start(request, kind, Path(runs_dir), Path(data_dir), own_id, given)
    dataset = prepare_data(request, Path(data_dir))
    program = own_program(pack_trainer(request.knobs), Path(request.preset).stem, request.knobs)
    record = describe_record(Path(runs_dir), request, dataset, program, own_id)
    hashes: dict[str, str] = {what: sha256_file(path) for what, path in given.items()}
    if own_id is None:
        record = describe_record(
            Path(runs_dir),
            request,
            dataset,
            program,
            "-".join([name.format(record.id), *(sha256[:8] for sha256 in hashes.values())]),
        )
    return replace(record, inputs={**record.inputs, **hashes}, kind=kind)


def set_up(
    record: Record, given: Mapping[Needs, Path], parallel: int | None, eval_limit: float | None
) -> tuple[Bench, int]:
    """The bench in a folder, and how many candidates it takes at the same time."""
    nproc = record.request.track.nproc
    if torch.cuda.is_available():
        parallel = parallel or 1  # a run has all GPUs
    at_once, threads = share_cores(1000, nproc, parallel)  # of any number of runs the same, so that times compare
    environment = {"DATA_DIR": str(record.dataset.data_dir), "OMP_NUM_THREADS": str(threads)}
    bench = Bench(record.folder, record.program, environment, nproc, eval_limit, given)
    return bench, at_once


def luck_of(choice: Choice, request: Request, base: Trial) -> Luck | None:
    """The winner against the standing record; None if that was not scored on the same text."""
    standing = standing_record(request.track)
    if standing is None or standing.scored_sha256 != base.scored_sha256:
        return None
    return luck(choice, standing.sample())


def write_report(record: Record, choice: Choice, kept: Bounds, found: Luck | None, confirmed: str) -> Path:
    """Write report/README.md and report/sweep.json; return the first."""
    text = sweep_markdown(choice, kept, found, confirmed)
    report = record.folder / "report" / "README.md"
    write_atomic(report, text)
    ranking = [asdict(trial) | {"misses": why} for trial, why in choice.ranking]
    write_json(report.with_name("sweep.json"), {"tried": choice.tried, "kept": asdict(kept), "ranking": ranking})
    create_markdown_artifact(text, key=f"{artifact_key(record.id)}-sweep", description="What was chosen, and reported")
    return report


def describe_choice(choice: Choice) -> str:
    """What was chosen, in a line."""
    best, of = choice.winner, counted(choice.tried, "candidate")
    return f"{best.candidate.label} is chosen of {of}: val_bpb {best.val_bpb:.8f} on seed {best.seed}"


def confirm_command(track: str, request: Request, choice: Choice) -> str:
    """The command that runs the winner on the seeds that were named."""
    knobs = {**request.overrides, **choice.winner.settings}
    settings = "".join(f" --set {name.upper()}={text}" for name, text in knobs.items())
    seeds = ",".join(map(str, request.seeds))
    return f"pgolf record --track {track} --preset {request.preset}{settings} --seeds {seeds}"


def confirm_winner(
    record: Record, track: str, choice: Choice, runs_dir: str, data_dir: str, parallel: int | None
) -> Outcome:
    """Make the record of the winner, on the seeds that were named before the sweep.

    Its preset is written into the sweep's folder, as the base's may have been edited since the sweep began.
    """
    request = record.request
    preset = presets.write(record.folder / "winner" / f"{Path(request.preset).stem}.toml", request.knobs)
    outcome: Outcome = record_3seed(
        track=track,
        preset=str(preset),
        seeds=list(request.seeds),
        knobs=dict(choice.winner.settings),
        runs_dir=runs_dir,
        data_dir=data_dir,
        parallel=parallel,
    )
    return outcome


def describe_confirmed(outcome: Outcome) -> str:
    """The result of the fresh seeds, in a paragraph."""
    scores = [score.val_bpb for score in outcome.scores]
    mean = sum(scores) / len(scores)
    listed = ", ".join(f"{s.val_bpb:.8f} (seed {s.seed})" for s in outcome.scores)
    said = "a record" if outcome.verdict.positive else f"no record: {'; '.join(outcome.verdict.reasons)}"
    return f"Mean {mean:.8f} of {listed}; {said}. All of it: `{outcome.path}`."


@flow(name="ablation", flow_run_name="ablation {old} {new}")
def ablation(
    old: str,
    new: str,
    track: str = "cpu_smoke",
    seeds: list[int] | None = None,
    ablation_id: str | None = None,
    runs_dir: str = "runs",
    data_dir: str = "data",
    parallel: int | None = None,
) -> Ablated:
    """Run the knobs in which two presets differ, one at a time and all together, and say which change brought what.

    Args:
        old: The preset before: a preset's name, or a TOML file.
        new: The preset after: a preset's name, or a TOML file.
        track: The rules: a track's name, or a TOML file.
        seeds: As many as the track asks for, or more. Default: the track's.
        ablation_id: Name of the folder in runs_dir. Default: made of the inputs.
        runs_dir: Folder that holds all runs.
        data_dir: Folder that holds the datasets.
        parallel: Runs at the same time. Default: one a core.
    """
    request, tried = plan_ablation(old, new, track, seeds)
    record = prepare(request, "ablation", f"ablation-{{}}-{Path(new).stem}", ablation_id, runs_dir, data_dir, {})
    names = Path(old).stem, Path(new).stem
    about = request.track.name, f"ablation: {names[0]} to {names[1]}"
    with working_on(record), attending(record.folder, *about, chat=False) as shown:
        log.info("ablation: %s", record.folder)
        bench, at_once = set_up(record, {}, parallel, None)
        first = [(Candidate(), seed) for seed in request.seeds]
        others = [(candidate, seed) for candidate in tried for seed in request.seeds]
        announce(bench, [*first, *others])
        with board_of(bench, [*first, *others], shown) as board:
            shown.live.show("the base")
            bases = try_all(bench, first, at_once, board)
            shown.live.show("changes")
            trials = try_all(bench, others, at_once, board)
        scores = {candidate: scores_of([t for t in trials if t.candidate == candidate]) for candidate in tried}
        together = scores[tried[-1]]
        alone = {candidate: scores[candidate] for candidate in (tried[:-1] or tried)}
        effects = attribute(scores_of(bases), alone, together)
        text = ablation_markdown(*names, request.seeds, effects)
        report = record.folder / "report" / "README.md"
        write_atomic(report, text)
        key = f"{artifact_key(record.id)}-ablation"
        create_markdown_artifact(text, key=key, description="Which change brought what")
        said = f"{sum(e.shown for e in effects)} of {counted(len(effects), 'gain')} shown, over {len(bases)} seeds"
        shown.done(SweepOutcome("ablation", record.folder, report, said), said)
    return Ablated(record.folder, report, tuple(effects))


def scores_of(trials: Sequence[Trial]) -> dict[int, float]:
    """val_bpb by seed; RunFailed if a seed has no score."""
    scores = {}
    for trial in trials:
        if trial.val_bpb is None:
            raise RunFailed(f"{trial.candidate.label} {trial.seed}: {trial.reason}")
        scores[trial.seed] = trial.val_bpb
    return scores
