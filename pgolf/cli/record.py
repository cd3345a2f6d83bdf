"""`pgolf record`, `reproduce`, `doctor`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from pgolf import tracks
from pgolf.cli.options import (
    AsJson,
    DataDir,
    DatasetDir,
    FolderName,
    PodsFile,
    RunsDir,
    Seeds,
    Settings,
    Track,
    TrackPreset,
    examples,
    ledger_entries,
)
from pgolf.cli.output import run_flow, show_rows, show_verdict, stderr
from pgolf.cli.record_runs import check_options, record_speedrun
from pgolf.errors import BadInput

if TYPE_CHECKING:
    from pgolf.flows.show import Outcome
    from pgolf.program import Program
    from pgolf.record.progress import Progress as SeedProgress

app = typer.Typer()
IN_A_RECORD = (
    "Here it runs as you: it can read, change and send whatever you can. With --pods its seeds run on those machines, "
    "and a short trial runs here."
)
AS_YOU = "It runs as you: it can read, change and send whatever you can."
SEALED = "It runs sealed off: no network, no home, no files but its own folder and the dataset."
Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Run a program from a record's folder, which may be anybody's, unasked.")
]


@app.command(
    epilog=examples(
        "pgolf record --track cpu_smoke",
        "pgolf record --set TTT_EPOCHS=5 --seeds 1,2,3",
        "pgolf record --track 10min_16mb --pods runpod --max-cost 100 --max-hours 4",
        "pgolf record --program mine/train_gpt.py --set TTT_EPOCHS=4 --plan",
        "pgolf record --track nanogpt_short --program mine/train_gpt.py --baseline theirs/train_gpt.py --runs 10",
    )
)
def record(
    track: Track = "cpu_smoke",
    preset: TrackPreset = None,
    seeds: Seeds = None,
    settings: Settings = None,
    record_id: FolderName = None,
    name: Annotated[str | None, typer.Option(help="Name of the submission; default: the preset's.")] = None,
    author: Annotated[str, typer.Option(envvar="PGOLF_AUTHOR", help="Author of the submission.")] = "unknown",
    github_id: Annotated[str, typer.Option(envvar="PGOLF_GITHUB_ID", help="The author's GitHub name.")] = "",
    summary: Annotated[str, typer.Option(help="What is new, in one sentence.")] = "",
    runs_dir: RunsDir = Path("runs"),
    data_dir: DataDir = Path("data"),
    parallel: Annotated[
        int | None, typer.Option(min=1, help="Seeds that train at the same time here; default: as many as fit.")
    ] = None,
    probe: Annotated[
        bool, typer.Option(help="Probe whether the evaluation is legal, on the first finished artifact.")
    ] = True,
    pods: Annotated[
        str, typer.Option(help="Where the seeds run: local, ssh (the machines of pods.toml) or runpod.")
    ] = "local",
    pods_at_once: Annotated[
        int | None, typer.Option(min=1, help="Pods at the same time; each runs seeds in turn; default: one a seed.")
    ] = None,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="First run the packed file end to end on a small pod.")
    ] = False,
    max_cost: Annotated[
        float | None, typer.Option(help="Dollars that rented pods may cost; at this bound they end.")
    ] = None,
    max_hours: Annotated[
        float | None, typer.Option(help="Hours in which pods may be rented; at this bound they end.")
    ] = None,
    no_bound: Annotated[
        bool, typer.Option("--no-bound", help="Rent without --max-cost, or --max-hours, where one is not given.")
    ] = False,
    pods_file: PodsFile = None,
    stop_early: Annotated[
        bool | None,
        typer.Option(help="End a seed that misses a hard limit, or is bound to; default: only on rented pods."),
    ] = None,
    stop_hopeless: Annotated[
        bool | None,
        typer.Option(help="End a seed whose loss is hopelessly above the standing record's; default: no."),
    ] = None,
    program: Annotated[
        str | None, typer.Option(help="A trainer of your own: a script, its folder, or a record's; default: pgolf's.")
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", metavar="NAME=VALUE", help="Set a variable that the program does not read; repeatable."),
    ] = None,
    pack: Annotated[bool, typer.Option("--pack", help="Pack the program's script into one small file first.")] = False,
    evaluator: Annotated[
        str | None,
        typer.Option(help="The program's evaluation, run here by the probes, as in their_eval.py:make_evaluator."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="The record to beat: a ledger entry, a record folder, or numbers; default: the track's.",
            autocompletion=ledger_entries,
        ),
    ] = None,
    runs: Annotated[
        int | None, typer.Option(min=1, help="Of a speedrun, runs of each program; default: the track's.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="Of a speedrun, the standing record's trainer, which runs beside --program.")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print what would happen, and its cost; start nothing.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Train a record's seeds, test them, write the submission.

    Compares the seeds' scores with the track's standing record, and checks every limit from the logs. Keeps every step
    in the record's folder: stopped, killed or started again, the same command goes on from there and repeats nothing
    that is finished.

    On a track with a target (a speedrun), runs --program and --baseline in turns on one machine, and tests losses
    against the target and times against the baseline's.

    Exit 0: a record; 1: no record (the report says why), or a run failed; 2: bad input, and nothing was started.
    """
    rules = tracks.load(track)
    of_seeds = {"--preset": preset, "--seeds": seeds, "--parallel": parallel, "--pods-at-once": pods_at_once}
    of_seeds |= {"--rehearse": rehearse, "--stop-early": stop_early, "--stop-hopeless": stop_hopeless, "--pack": pack}
    of_seeds |= {"--evaluator": evaluator, "--no-probe": not probe, "--against": against}
    check_options(rules, of_seeds, {"--runs": runs, "--baseline": baseline})
    about: dict[str, Any] = {"name": name, "author": author, "github_id": github_id, "summary": summary}
    if rules.target:
        record_speedrun(
            track,
            rules,
            program,
            baseline,
            settings or [],
            env or [],
            lambda path, theirs: _agreed(path, theirs, yes, IN_A_RECORD),
            runs=runs,
            about=about,
            pods={
                "pods": pods,
                "max_cost": max_cost,
                "max_hours": max_hours,
                "no_bound": no_bound,
                "pods_file": pods_file,
            },
            folders={"record_id": record_id, "runs_dir": runs_dir, "data_dir": data_dir},
            plan=plan,
            as_json=as_json,
        )
        return
    from pgolf.pods.places import check_wanted
    from pgolf.program.environment import parse_variables
    from pgolf.record.request import check_request, parse_overrides, parse_seeds

    named = list(parse_seeds(seeds)) if seeds is not None else None
    knobs = parse_variables(settings or []) if program else parse_overrides(settings or [])
    ran: dict[str, Any] = {
        "program": program,
        "env": parse_variables(env or [], "--env"),
        "evaluator": evaluator,
        "against": against,
    }
    about["probe"] = probe
    request = check_request(track, preset, named, knobs, packed=pack, **ran, **about)  # before anything is started
    wanted = check_wanted(pods, pods_at_once, rehearse, max_cost, max_hours, pods_file, no_bound)
    if plan:
        from pgolf.record.planned import plan_record

        planned = plan_record(request, wanted, stop_early, stop_hopeless, runs_dir, data_dir)
        if as_json:
            typer.echo(json.dumps(planned.as_json(), indent=2, allow_nan=False))
        else:
            show_rows([*planned.rows()])
        return
    if wanted.missing_bounds:
        from pgolf.record.planned import check_costs

        check_costs(request, wanted)
    trusted = bool(program and request.theirs and _agreed(Path(program), request.theirs, yes, IN_A_RECORD))
    outcome: Outcome = run_flow(
        "pgolf.flows.record",
        "record_3seed",
        track=track,
        preset=preset,
        seeds=named,
        knobs=knobs,
        record_id=record_id,
        runs_dir=str(runs_dir),
        data_dir=str(data_dir),
        parallel=parallel,
        pods=pods,
        pods_at_once=pods_at_once,
        rehearse=rehearse,
        max_cost=max_cost,
        max_hours=max_hours,
        no_bound=no_bound,
        pods_file=str(pods_file) if pods_file else None,
        stop_early=stop_early,
        stop_hopeless=stop_hopeless,
        pack_script=pack,
        trust_program=trusted,
        **ran,
        **about,
    )
    if as_json:
        typer.echo(json.dumps(outcome.as_json(), indent=2, allow_nan=False))
    else:
        _show_outcome(outcome)
    raise typer.Exit(0 if outcome.verdict.positive else 1)


def _agreed(path: Path, program: "Program", yes: bool, may: str) -> bool:
    """Whether the user agrees to run a program from a record's folder: by --yes, before, or now on a terminal.

    False: it is their own, and needs no consent. BadInput if they do not agree, or cannot be asked.
    """
    from pgolf.record.trust import agree, is_agreed, stranger_of

    stranger = stranger_of(path, program)
    if stranger is None or yes or is_agreed(stranger):
        return stranger is not None
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise BadInput(f"{stranger}. {may} Read it, then say with --yes that it may run")
    typer.echo(f"{stranger}. {may}", err=True)
    if not typer.confirm("Run it?", err=True):
        raise BadInput("not agreed to; nothing was started")
    agree(stranger)
    return True


def _show_outcome(outcome: "Outcome") -> None:
    from pgolf.report.tables import comparison_table, seed_table

    verdict = outcome.verdict
    stdout = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    stdout.print(seed_table(outcome.scores))
    if verdict.comparison:
        stdout.print(comparison_table(verdict.comparison))
    show_verdict(stdout, verdict.positive, verdict.reasons, verdict.warnings, outcome.path)


@app.command(
    epilog=examples(
        "pgolf reproduce records/2026-04-09_mine --seed 42",
    )
)
def reproduce(
    folder: Annotated[Path, typer.Argument(help="A record folder, of pgolf's or anyone's; its program is run.")],
    seed: Annotated[int | None, typer.Option(help="One of the record's seeds; default: its first.")] = None,
    artifact: Annotated[
        Path | None,
        typer.Option(
            help="Score this artifact of the seed instead of training one; a program not of pgolf needs `eval_only`."
        ),
    ] = None,
    data_dir: DatasetDir = Path("data"),
    out: Annotated[Path | None, typer.Option(help="Folder to run in; default: runs/reproduce-<folder>.")] = None,
    yes: Yes = False,
    seal: Annotated[
        bool, typer.Option(help="Run the program without network, home and files but its own and the dataset.")
    ] = True,
) -> None:
    """Run a record's program again, and compare the results.

    The code in the folder may be anybody's: pgolf says whose it is and asks first, and runs it sealed off, with no
    network, no home, and no files but its own and the dataset. Takes knobs from the record's logs, and the dataset from
    --data-dir. Killed at any point, it leaves nothing running, and the same command goes on.

    Exit 0: the result lies within the spread of the record's seeds; 1: it does not, or the run failed; 2: bad input, or
    a program that you have not agreed to, or that cannot be sealed off here.
    """
    from rich.progress import Progress

    from pgolf.evidence.lines import printable
    from pgolf.record.reproduce import prepare, run_again
    from pgolf.record.sealed_job import check_sealable

    name = folder.resolve().name
    again = prepare(folder, out or Path("runs") / f"reproduce-{name}", data_dir, seed, artifact)
    if seal:
        check_sealable()
    _agreed(folder, again.program, yes, SEALED if seal else AS_YOU)
    with Progress(console=stderr, transient=True) as bar:
        task = bar.add_task(f"seed {again.seed} of {name}", total=None)

        def show(now: "SeedProgress") -> None:
            bar.update(task, description=escape(printable(now.stage)), completed=now.done, total=now.total or None)

        result = run_again(again, seal, show)
    typer.echo(str(result))
    raise typer.Exit(result.inside is not True)


@app.command(
    epilog=examples(
        "pgolf doctor --track 10min_16mb",
    )
)
def doctor(
    track: Track = "cpu_smoke",
    data_dir: DataDir = Path("data"),
    runs_dir: RunsDir = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """List what this machine lacks for a record, and how to get it.

    Changes nothing, and shows no key. Exit 0: a record can start; 1: something is missing.
    """
    from pgolf.doctor import examine

    findings = examine(track, data_dir, runs_dir)
    if as_json:
        typer.echo(json.dumps([f.as_json() for f in findings], indent=2))
    else:
        light = {"ok": "[green]●[/green]", "optional": "[yellow]▲[/yellow]", "missing": "[red]✗[/red]"}
        stdout, width = Console(highlight=False), max(len(f.what) for f in findings)
        for f in findings:
            fix = f" → {escape(f.fix)}" if f.fix else ""
            stdout.print(f"{light[f.state]} {escape(f.what):{width}}  {escape(f.found)}{fix}", soft_wrap=True)
    raise typer.Exit(any(f.state == "missing" for f in findings))
