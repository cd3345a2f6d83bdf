"""`pgolf record`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from pgolf import tracks
from pgolf.cli.agreement import Yes, agreed
from pgolf.cli.options import (
    AsJson,
    DataDir,
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
from pgolf.cli.outcome import show_outcome
from pgolf.cli.output import show_rows, tell
from pgolf.cli.record_runs import check_options, record_speedrun

app = typer.Typer()
IN_A_RECORD = (
    "Here it runs as you: it can read, change and send whatever you can. With --pods its seeds run on those machines, "
    "and a short trial runs here."
)
Foreground = Annotated[
    bool | None,
    typer.Option(
        help="Make it in this process, which signals end in order, or in one that goes on when you leave; default: the "
        "latter where there is a terminal.",
    ),
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
            help="The record to beat: a ledger entry, a record folder, or numbers; default: the track's standing one.",
            autocompletion=ledger_entries,
        ),
    ] = None,
    non_record: Annotated[
        bool,
        typer.Option("--non-record", help="Write the submission also if it is no record, as one that claims none."),
    ] = False,
    runs: Annotated[
        int | None, typer.Option(min=1, help="Of a speedrun, runs of each program; default: the track's.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="Of a speedrun, the standing record's trainer, which runs beside --program.")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print what would happen, and its cost; start nothing.")] = False,
    yes: Yes = False,
    foreground: Foreground = None,
    as_json: AsJson = False,
) -> None:
    """Train a record's seeds, test them, write the submission.

    Compares the seeds' scores with the track's standing record, and checks every limit from the logs. Keeps every step
    in the record's folder: stopped, killed or started again, the same command goes on from there and repeats nothing
    that is finished.

    On a track with a target (a speedrun), runs --program and --baseline in turns on one machine, and tests losses
    against the target and times against the baseline's.

    With --non-record, writes a submission to track non_record_16mb also of what is no record: its README and
    submission.json say so, and claim no significance. Given to the command of a finished record, it only writes.

    Exit 0: a record, or the submission that --non-record asks for; 1: neither (the report says why), or a run failed;
    2: bad input, and nothing was started.
    """
    rules = tracks.load(track)
    of_seeds = {"--preset": preset, "--seeds": seeds, "--parallel": parallel, "--pods-at-once": pods_at_once}
    of_seeds |= {"--rehearse": rehearse, "--stop-early": stop_early, "--stop-hopeless": stop_hopeless, "--pack": pack}
    of_seeds |= {"--evaluator": evaluator, "--no-probe": not probe, "--against": against, "--non-record": non_record}
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
            lambda path, theirs: agreed(path, theirs, yes, IN_A_RECORD),
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
            foreground=foreground,
            as_json=as_json,
        )
        return
    from pgolf.pods.places import check_wanted
    from pgolf.program.environment import parse_variables
    from pgolf.record.refusals import check_id, check_planned, check_start
    from pgolf.record.request import check_request, check_to_beat, parse_overrides, parse_seeds

    check_id(record_id)
    named = list(parse_seeds(seeds)) if seeds is not None else None
    knobs = parse_variables(settings or []) if program else parse_overrides(settings or [])
    ran: dict[str, Any] = {
        "program": program,
        "env": parse_variables(env or [], "--env"),
        "evaluator": evaluator,
        "against": against,
        "non_record": non_record,
    }
    about["probe"] = probe
    request = check_request(track, preset, named, knobs, packed=pack, **ran, **about)  # before anything is started
    check_to_beat(request)
    wanted = check_wanted(pods, pods_at_once, rehearse, max_cost, max_hours, pods_file, no_bound)
    if plan:
        check_planned(request, runs_dir, data_dir, record_id)
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
    check_start(request, wanted, runs_dir, data_dir, record_id, (stop_early, stop_hopeless))
    from pgolf.record.prospect import prospect_of

    if warning := prospect_of(request).warning:
        tell(Text.assemble(("▲ ", "yellow"), warning))
    trusted = bool(program and request.theirs and agreed(Path(program), request.theirs, yes, IN_A_RECORD))
    parameters: dict[str, Any] = {
        "track": track,
        "preset": preset,
        "seeds": named,
        "knobs": knobs,
        "record_id": record_id,
        "runs_dir": str(runs_dir),
        "data_dir": str(data_dir),
        "parallel": parallel,
        "pods": pods,
        "pods_at_once": pods_at_once,
        "rehearse": rehearse,
        "max_cost": max_cost,
        "max_hours": max_hours,
        "no_bound": no_bound,
        "pods_file": str(pods_file) if pods_file else None,
        "stop_early": stop_early,
        "stop_hopeless": stop_hopeless,
        "pack_script": pack,
        "trust_program": trusted,
        **ran,
        **about,
    }
    from pgolf.cli.detached import make_record

    outcome = make_record(foreground, "pgolf.flows.record", "record_3seed", parameters, request.inputs)
    raise typer.Exit(show_outcome(outcome, as_json))
