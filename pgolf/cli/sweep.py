"""`pgolf sweep`, `ablate`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pgolf.cli.options import (
    AsJson,
    DataDir,
    FolderName,
    Parallel,
    RunsDir,
    Seeds,
    Settings,
    Track,
    TrackPreset,
    examples,
    presets,
)
from pgolf.cli.output import run_flow, show_report

app = typer.Typer()


@app.command(
    epilog=examples(
        "pgolf sweep --grid TTT_EPOCHS=3,4,5,6 --grid TTT_LR=0.002,0.005,0.01",
        "pgolf sweep --candidate 'TTT_EPOCHS=5 TTT_LR=0.01' --confirm",
        "pgolf sweep --space space.toml --checkpoint runs/train/1/checkpoint.pt",
    )
)
def sweep(
    track: Track = "cpu_smoke",
    preset: TrackPreset = None,
    settings: Settings = None,
    seed: Annotated[int, typer.Option(help="Seed of the one training; must not be one of --confirm-seeds.")] = 1337,
    grid: Annotated[
        list[str] | None, typer.Option(metavar="KNOB=A,B", help="Try every combination of these values; repeatable.")
    ] = None,
    candidate: Annotated[
        list[str] | None, typer.Option(metavar="'KNOB=A OTHER=B'", help="Try this configuration; repeatable.")
    ] = None,
    space: Annotated[Path | None, typer.Option(help="TOML file with [grid] and [[candidates]].")] = None,
    artifact: Annotated[Path | None, typer.Option(help="Artifact to evaluate; nothing is trained.")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Checkpoint of a finished training to start from; nothing is trained.")
    ] = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="Make the record of the chosen configuration.")] = False,
    confirm_seeds: Annotated[
        str | None, typer.Option(help="Seeds of that record, as in 42,314,999; default: the track's.")
    ] = None,
    time_margin: Annotated[float, typer.Option(help="Seconds of the limit on evaluation to leave free.")] = 0.0,
    size_margin: Annotated[int, typer.Option(help="Bytes of the limit on the artifact to leave free.")] = 0,
    sweep_id: FolderName = None,
    runs_dir: RunsDir = Path("runs"),
    data_dir: DataDir = Path("data"),
    parallel: Parallel = None,
    as_json: AsJson = False,
) -> None:
    """Train once, try many configurations, choose the best that fits.

    A configuration changes knobs of evaluation and quantisation; for knobs of training use `pgolf ablate`. Stopped or
    killed, the same command goes on and repeats nothing; with more candidates it tries only the new ones.

    Exit 0: one is chosen (with --confirm: and its record is positive); 1: none fits, a run failed, or the record is
    negative; 2: bad input.
    """
    from pgolf.record.orchestrator import as_given
    from pgolf.record.refusals import check_sweep_start
    from pgolf.record.request import parse_overrides, parse_seeds
    from pgolf.record.stand import check_free
    from pgolf.sweep.plan import check_margins, plan_sweep

    space_file, artifact_file, checkpoint_file = (str(path) if path else None for path in (space, artifact, checkpoint))
    knobs, seeds = parse_overrides(settings or []), None
    if confirm_seeds is not None:
        seeds = parse_seeds(confirm_seeds, "--confirm-seeds")
    given = (grid or [], candidate or [], space_file, artifact_file, checkpoint_file)
    plan = plan_sweep(track, preset, seed, knobs, *given, seeds)  # before anything is started
    check_margins(plan.request.track.limits, time_margin, size_margin)
    check_sweep_start(plan.request, "sweep", runs_dir, data_dir, sweep_id, plan.given)
    check_free(runs_dir, plan.request.inputs, as_given(["pgolf", *sys.argv[1:]]), sweep_id)
    swept = run_flow(
        "pgolf.flows.sweep",
        "sweep",
        track=track,
        preset=preset,
        seed=seed,
        knobs=knobs,
        grid=grid,
        candidates=candidate,
        space_file=space_file,
        artifact=artifact_file,
        checkpoint=checkpoint_file,
        confirm=confirm,
        confirm_seeds=list(seeds) if seeds else None,
        time_margin=time_margin,
        size_margin=size_margin,
        sweep_id=sweep_id,
        runs_dir=str(runs_dir),
        data_dir=str(data_dir),
        parallel=parallel,
    )
    _show_report(swept, as_json)
    raise typer.Exit(1 if swept.confirmed and not swept.confirmed.verdict.positive else 0)


@app.command(
    epilog=examples(
        "pgolf ablate smoke-base smoke",
        "pgolf ablate old.toml new.toml --seeds 42,314,999,7",
    )
)
def ablate(
    old: Annotated[str, typer.Argument(help="The preset before: a name, or a TOML file.", autocompletion=presets)],
    new: Annotated[str, typer.Argument(help="The preset after: a name, or a TOML file.", autocompletion=presets)],
    track: Track = "cpu_smoke",
    seeds: Seeds = None,
    ablation_id: FolderName = None,
    runs_dir: RunsDir = Path("runs"),
    data_dir: DataDir = Path("data"),
    parallel: Parallel = None,
    as_json: AsJson = False,
) -> None:
    """Measure what each change between two presets brings.

    Runs the preset before as it is, then with each knob in which the two differ changed alone, then with all of them
    changed, each over the same seeds, as many as the track asks for, or more. To change a knob, write it into a preset
    file. Stopped or killed, the same command goes on and repeats nothing.
    """
    from pgolf.record.orchestrator import as_given
    from pgolf.record.refusals import check_sweep_start
    from pgolf.record.request import parse_seeds
    from pgolf.record.stand import check_free
    from pgolf.sweep.plan import plan_ablation

    named = list(parse_seeds(seeds)) if seeds is not None else None
    request, _ = plan_ablation(old, new, track, named)  # before anything is started
    check_sweep_start(request, "ablation", runs_dir, data_dir, ablation_id)
    check_free(runs_dir, request.inputs, as_given(["pgolf", *sys.argv[1:]]), ablation_id)
    ablated = run_flow(
        "pgolf.flows.sweep",
        "ablation",
        old=old,
        new=new,
        track=track,
        seeds=named,
        ablation_id=ablation_id,
        runs_dir=str(runs_dir),
        data_dir=str(data_dir),
        parallel=parallel,
    )
    _show_report(ablated, as_json)


def _show_report(outcome: Any, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(outcome.as_json(), indent=2, allow_nan=False))
    else:
        show_report(outcome.report.read_text())
        typer.echo(str(outcome.report))
