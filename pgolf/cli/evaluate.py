"""`pgolf eval`, `probe`."""

import json
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from pgolf.cli.options import AsJson, DatasetNear, Settings, examples, presets
from pgolf.cli.output import progress_bar, show_table
from pgolf.errors import BadInput, did_you_mean
from pgolf.phrases import counted
from pgolf.stages import BY_MODE

app = typer.Typer()


@app.command(
    "eval",
    epilog=examples(
        "pgolf eval final_model.int6.ptz --mode ttt --set TTT_EPOCHS=5 --max-seconds 600",
    ),
)
def evaluate(
    artifact: Annotated[Path, typer.Argument(help="An artifact: a final_model.int6.ptz.")],
    mode: Annotated[str, typer.Option(help=f"Evaluator: {', '.join(BY_MODE)}.")] = "sliding",
    preset: Annotated[
        str | None, typer.Option(help="Preset to take knobs of evaluation from; default: none.", autocompletion=presets)
    ] = None,
    settings: Settings = None,
    data_dir: DatasetNear = Path("data"),
    split: Annotated[str, typer.Option(help="Split to score: val, or train for a look.")] = "val",
    tokens: Annotated[int | None, typer.Option(min=1, help="Number of first tokens to score; default: all.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    max_seconds: Annotated[
        float | None, typer.Option(min=0, help="Stop once it is certain that the pass takes longer.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score an artifact.

    Takes the model from the artifact; knobs of evaluation are the trainer's defaults, changed by --preset and --set.
    A CPU's threads are as many as the run had in whose folder the artifact lies, for its last digits; OMP_NUM_THREADS
    or --set CPU_THREADS=N changes that.

    Exit 0: scored; 1: stopped, since the pass would take longer than --max-seconds; 2: bad input.
    """
    from pgolf.untrusted import open_regular

    if mode not in BY_MODE:
        raise BadInput(f"no mode '{mode}'{did_you_mean(mode, BY_MODE)}; there are: {', '.join(BY_MODE)}")
    _check_no_folder(artifact)
    open_regular(artifact).close()  # says so at once where there is none; the rest imports torch
    from pgolf.artifact import eval_knobs, evaluate_artifact, in_folder, open_artifact
    from pgolf.record.logged_seed import threads_beside
    from pgolf.record.request import parse_overrides

    knobs = eval_knobs(preset, parse_overrides(settings or []), device)
    if "OMP_NUM_THREADS" not in os.environ:
        knobs.setdefault("cpu_threads", threads_beside(artifact) or 0)
    opened = in_folder(open_artifact(artifact, knobs), data_dir)
    with progress_bar(mode) as progress:
        result = evaluate_artifact(opened, mode, split, tokens, max_seconds, lambda done, of: progress(mode, done, of))
    if not result.documents:
        typer.echo("note: the text has no BOS, so it does not show where documents begin", err=True)
    if as_json:
        typer.echo(json.dumps(result.as_json()))
        return
    typer.echo(
        f"{mode} val_loss:{result.val_loss:.8f} val_bpb:{result.val_bpb:.8f} eval_time:{result.seconds * 1000:.0f}ms "
        f"({result.positions} tokens, {result.bytes} bytes, {result.device} {result.dtype}, "
        f"{counted(result.threads, 'thread')})"
    )


@app.command(
    epilog=examples(
        "pgolf probe final_model.int6.ptz --preset smoke",
        "pgolf probe their_eval.py:make_evaluator --artifact final_model.int6.ptz",
    )
)
def probe(
    target: Annotated[
        str, typer.Argument(help="An artifact, or an evaluator as in their_eval.py:make_evaluator; that file is run.")
    ],
    train_gpt: Annotated[Path | None, typer.Option(help="The packed trainer; default: pgolf's, packed now.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="Preset of the record that made the artifact.", autocompletion=presets)
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a knob; set a variable of an evaluator; repeatable."),
    ] = None,
    mode: Annotated[
        list[str] | None,
        typer.Option(help="Evaluator to run on the artifact; repeatable; default: those of the record."),
    ] = None,
    data_dir: DatasetNear = Path("data"),
    tokens: Annotated[Path | None, typer.Option(help="Shard to cut the streams from, for an evaluator.")] = None,
    length: Annotated[int | None, typer.Option(min=2, help="Positions in a stream, for an evaluator.")] = None,
    allow: Annotated[list[Path] | None, typer.Option(help="File that an evaluator may read; repeatable.")] = None,
    to_score: Annotated[
        Path | None,
        typer.Option("--artifact", help="File that an evaluator scores; it finds the path in the variable ARTIFACT."),
    ] = None,
    positions: Annotated[int | None, typer.Option(min=1, help="Number of positions to change a stream at.")] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Seeds of the streams, one stream each; default: 0,1, or 0 for an artifact.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where to run an artifact: cpu or cuda.")] = "cpu",
    budget: Annotated[
        float | None,
        typer.Option(min=10, help="Seconds that all probes of an evaluator may take; default: 900. Less shows less."),
    ] = None,
    max_memory: Annotated[
        float | None,
        typer.Option(min=0.1, help="GB of memory that an evaluator may take; default: half of this machine's."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Test whether an evaluation is legal.

    Probes whether it is causal, normalised, scores before it updates, makes one pass, counts bytes exactly and is
    sealed; docs/legality.md describes each probe.

    Exit 0: no probe fails; 1: a probe fails, and its counter-example is printed; 2: bad input.
    """
    from pgolf import legality
    from pgolf.program.environment import check_extra, parse_variables
    from pgolf.record.request import parse_overrides, parse_seeds

    if target:
        _check_no_folder(Path(target))
    given = settings or []
    knobs = check_extra(parse_variables(given), "", (), "--set") if ".py:" in target else parse_overrides(given)
    streams = parse_seeds(seeds) if seeds is not None else None
    # an evaluator may print, and standard output is for results alone
    with redirect_stdout(sys.stderr), progress_bar("reading") as progress:
        results = legality.probe_target(
            target,
            train_gpt=train_gpt,
            preset=preset,
            settings=knobs,
            data_dir=data_dir,
            shard=tokens,
            length=length,
            allowed=allow or (),
            artifact=to_score,
            positions=positions,
            seeds=streams,
            modes=mode,
            device=device,
            budget_s=budget,
            memory=None if max_memory is None else int(max_memory * 1e9),
            progress=progress,
        )
    if as_json:
        typer.echo(json.dumps([r.as_json() for r in results], indent=2, allow_nan=False))
    else:
        show_table(legality.table(results), legality.HEADINGS)
    raise typer.Exit(any(r.passed is False for r in results))


def _check_no_folder(path: Path) -> None:
    if path.is_dir():
        raise BadInput(f"{path}: a folder, and an artifact is wanted: name the artifact, a final_model.int6.ptz")
