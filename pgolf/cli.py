"""`pgolf …`: every command is one call into the library."""

import errno
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from pgolf import __version__
from pgolf.errors import BadInput, RunFailed

if TYPE_CHECKING:
    from pgolf.audit.audit import Audit
    from pgolf.data.dataset import Dataset
    from pgolf.flows.record import Outcome

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)  # help as plain text
data_app = typer.Typer(no_args_is_help=True, help="Make or fetch datasets and tokenizers.")
app.add_typer(data_app, name="data")
caseops_app = typer.Typer(no_args_is_help=True, help="The lossless case transform, as a filter.")
data_app.add_typer(caseops_app, name="caseops")
ledger_app = typer.Typer(no_args_is_help=True, help="The standing records, as data.")
app.add_typer(ledger_app, name="ledger")
pods_app = typer.Typer(no_args_is_help=True, help="Rented pods: which there are, and an end to those nobody needs.")
app.add_typer(pods_app, name="pods")
stderr = Console(stderr=True, highlight=False)

# Paths that a user gave and the system refuses, wherever that shows: bad input. A full disk is none.
UNUSABLE = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
)
FULL = (errno.ENOSPC, errno.EDQUOT)


def _examples(*commands: str) -> str:
    """The end of a command's help; tests read these, too."""
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])


def _presets() -> list[str]:
    """What a shell completes a preset to; the same of tracks and ledger entries."""
    from pgolf.presets import names

    return list(names())


def _tracks() -> list[str]:
    from pgolf.tracks import names

    return list(names())


def _ledger_entries() -> list[str]:
    from pgolf.ledger import names

    return list(names())


def _version(show: bool) -> None:
    if show:
        typer.echo(f"pgolf {__version__}")
        raise typer.Exit()


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Run a Parameter Golf record, verify it from its logs, and write it up.

    `pgolf COMMAND --help` says all of a command. Exit codes: 0 done, 1 the verdict is negative or a run failed, 2 bad
    input.
    """


@app.command(
    epilog=_examples(
        "pgolf record --track cpu_smoke",
        "pgolf record --set TTT_EPOCHS=5 --seeds 1,2,3",
        "pgolf record --track 10min_16mb --pods runpod --max-cost 100 --max-hours 4",
    )
)
def record(
    track: Annotated[
        str, typer.Option(help="Rules to play by: a track's name, or a TOML file.", autocompletion=_tracks)
    ] = "cpu_smoke",
    preset: Annotated[
        str | None,
        typer.Option(help="Knobs: a preset's name, or a TOML file; default: the track's.", autocompletion=_presets),
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds, as in 42,314,999; default: the track's.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KNOB=VALUE", help="A knob; repeatable.")
    ] = None,
    record_id: Annotated[
        str | None, typer.Option("--id", help="Folder in --runs-dir; default: made of the inputs.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the submission; default: the preset's.")] = None,
    author: Annotated[str, typer.Option(envvar="PGOLF_AUTHOR", help="Author of the submission.")] = "unknown",
    github_id: Annotated[str, typer.Option(envvar="PGOLF_GITHUB_ID", help="The author's GitHub name.")] = "",
    summary: Annotated[str, typer.Option(help="What is new, in a sentence.")] = "",
    runs_dir: Annotated[Path, typer.Option(help="Folder for records.")] = Path("runs"),
    data_dir: Annotated[Path, typer.Option(help="Folder for datasets.")] = Path("data"),
    parallel: Annotated[
        int | None, typer.Option(min=1, help="Seeds at the same time; default: as many as fit.")
    ] = None,
    probe: Annotated[bool, typer.Option(help="Probe the legality of the first finished seed's evaluation.")] = True,
    pods: Annotated[str, typer.Option(help="Where seeds run: local, ssh (machines of pods.toml), runpod.")] = "local",
    pods_at_once: Annotated[
        int | None, typer.Option(min=1, help="Pods at the same time, each for seeds in turn; default: one a seed.")
    ] = None,
    rehearse: Annotated[bool, typer.Option("--rehearse", help="Try all of it on a small pod first.")] = False,
    max_cost: Annotated[float | None, typer.Option(help="Dollars that pods may cost; hard.")] = None,
    max_hours: Annotated[float | None, typer.Option(help="Hours that pods may be there; hard.")] = None,
    pods_file: Annotated[
        Path | None, typer.Option(help="Machines and what to rent; default: PGOLF_PODS_FILE, else pods.toml.")
    ] = None,
    stop_early: Annotated[
        bool | None,
        typer.Option(help="End a seed that misses a hard limit, or is going to; default: on rented pods."),
    ] = None,
    stop_hopeless: Annotated[
        bool | None, typer.Option(help="End a seed whose loss is hopeless beside the standing record's; default: no.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Train a record's seeds, test them, write the submission.

    The seeds' scores are held against the track's standing record, and every limit is checked from the logs. Every step
    is kept in the record's folder. Stopped, killed or started again, the same command goes on from there and repeats
    nothing that is finished.

    Exit 0: a record; 1: none (the report says why), or a run failed; 2: bad input, nothing was started.
    """
    from pgolf.pods.places import check_wanted
    from pgolf.record.board import show_log
    from pgolf.record.request import check_request, parse_overrides, parse_seeds

    named = list(parse_seeds(seeds)) if seeds is not None else None
    knobs = parse_overrides(settings or [])
    check_request(track, preset, named, knobs)  # before anything is started
    check_wanted(pods, pods_at_once, rehearse, max_cost, max_hours, pods_file)
    show_log()
    from pgolf.flows.here import record_here

    try:
        outcome = record_here(
            track=track,
            preset=preset,
            seeds=named,
            knobs=knobs,
            record_id=record_id,
            name=name,
            author=author,
            github_id=github_id,
            summary=summary,
            runs_dir=str(runs_dir),
            data_dir=str(data_dir),
            parallel=parallel,
            pods=pods,
            pods_at_once=pods_at_once,
            rehearse=rehearse,
            max_cost=max_cost,
            max_hours=max_hours,
            pods_file=str(pods_file) if pods_file else None,
            probe=probe,
            stop_early=stop_early,
            stop_hopeless=stop_hopeless,
        )
    except (KeyboardInterrupt, SystemExit) as e:
        message = "stopped: every run is ended, what is finished is kept, the same command goes on from there"
        stderr.print(message, soft_wrap=True)
        raise typer.Exit(int(e.code or 0) if isinstance(e, SystemExit) else 130) from None
    if as_json:
        typer.echo(json.dumps(outcome.as_json(), indent=2, allow_nan=False))
    else:
        _show_outcome(outcome)
    raise typer.Exit(0 if outcome.verdict.positive else 1)


def _show_outcome(outcome: "Outcome") -> None:
    from pgolf.report.tables import comparison_table, seed_table

    verdict = outcome.verdict
    stdout = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    stdout.print(seed_table(outcome.scores))
    if verdict.comparison:
        stdout.print(comparison_table(verdict.comparison))
    for reason in verdict.reasons:
        stdout.print(f"[red]✗[/red] {escape(reason)}", soft_wrap=True)
    word = "[green]record[/green]" if verdict.positive else "[red]no record[/red]"
    stdout.print(f"{word}: {escape(str(outcome.path))}", soft_wrap=True)


@app.command(
    epilog=_examples(
        "pgolf train --preset smoke --set ITERATIONS=50",
        "pgolf train --preset pr1812 --nproc 8",
        "pgolf train --preset pr1812 --describe",
    )
)
def train(
    preset: Annotated[
        str, typer.Option(help="Knobs: a preset's name, or a TOML file.", autocompletion=_presets)
    ] = "smoke",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KNOB=VALUE", help="A knob; repeatable.")
    ] = None,
    nproc: Annotated[int, typer.Option(min=1, help="Ranks; more than one run under torchrun.")] = 1,
    folder: Annotated[Path | None, typer.Option(help="Folder to work in; default: a new one in runs/train.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="A dataset; default: pydocs, made if need be.")] = None,
    describe: Annotated[
        bool, typer.Option("--describe", help="Train nothing: print parameters, arithmetic and the size to expect.")
    ] = False,
    diff: Annotated[
        tuple[str, str] | None,
        typer.Option("--diff", metavar="PRESET PRESET", help="Train nothing: print the knobs that differ."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print description or differences as JSON.")] = False,
) -> None:
    """Train and score once, in the foreground, to try things out.

    It runs the unpacked trainer. Knobs set in the environment count too (`TTT_EPOCHS=5 pgolf train`); the preset and
    --set win over them.
    """
    if diff:
        from pgolf.presets import differences

        found = differences(*diff)
        if as_json:
            typer.echo(json.dumps({name: dict(zip(diff, pair, strict=True)) for name, pair in found.items()}))
        else:
            _show_rows([(name, f"{old} → {new}") for name, (old, new) in found.items()] or [("none", "differs")])
        return
    if describe:
        from pgolf.describe import describe as describe_preset
        from pgolf.record.request import parse_overrides

        description = asdict(describe_preset(preset, parse_overrides(settings or [])))
        if as_json:
            typer.echo(json.dumps(description))
        else:
            _show_rows([(k, str(v)) for k, v in description.items()])
        return
    from pgolf.train import exec_trainer

    exec_trainer(preset, settings or [], nproc, folder, data_dir)


@app.command(
    epilog=_examples(
        "pgolf sweep --grid TTT_EPOCHS=3,4,5,6 --grid TTT_LR=0.002,0.005,0.01",
        "pgolf sweep --candidate 'TTT_EPOCHS=5 TTT_LR=0.01' --confirm",
        "pgolf sweep --space space.toml --checkpoint runs/train/1/checkpoint.pt",
    )
)
def sweep(
    track: Annotated[
        str, typer.Option(help="Rules to play by: a track's name, or a TOML file.", autocompletion=_tracks)
    ] = "cpu_smoke",
    preset: Annotated[
        str | None, typer.Option(help="Knobs of the base; default: the track's preset.", autocompletion=_presets)
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KNOB=VALUE", help="A knob of the base; repeatable.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the one training; none of those that confirm.")] = 1337,
    grid: Annotated[
        list[str] | None, typer.Option(metavar="KNOB=A,B", help="Try all combinations; repeatable.")
    ] = None,
    candidate: Annotated[
        list[str] | None, typer.Option(metavar="'KNOB=A OTHER=B'", help="Try this; repeatable.")
    ] = None,
    space: Annotated[Path | None, typer.Option(help="TOML with [grid] and [[candidates]].")] = None,
    artifact: Annotated[Path | None, typer.Option(help="Evaluate this one instead of training.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Start from the end of this training.")] = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="Go on to the record with the winner.")] = False,
    confirm_seeds: Annotated[
        str | None, typer.Option(help="Its seeds, as in 42,314,999; default: the track's.")
    ] = None,
    time_margin: Annotated[float, typer.Option(min=0, help="Seconds of evaluation to keep free.")] = 0.0,
    size_margin: Annotated[int, typer.Option(min=0, help="Bytes to keep free.")] = 0,
    sweep_id: Annotated[str | None, typer.Option("--id", help="Folder in --runs-dir; default: of the inputs.")] = None,
    runs_dir: Annotated[Path, typer.Option(help="Folder for sweeps and records.")] = Path("runs"),
    data_dir: Annotated[Path, typer.Option(help="Folder for datasets.")] = Path("data"),
    parallel: Annotated[int | None, typer.Option(min=1, help="Candidates at the same time.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Train once, try many configurations, choose the best that fits.

    They are configurations of evaluation and quantisation: knobs of training are for `pgolf ablate`. Stopped or killed,
    the same command goes on, and repeats nothing; with more candidates it tries only those.

    Exit 0: chosen (with --confirm: a record); 1: none fits, a run failed, or no record; 2: bad input.
    """
    from pgolf.record.request import parse_overrides, parse_seeds
    from pgolf.sweep.plan import plan_sweep

    files = [str(path) if path else None for path in (space, artifact, checkpoint)]
    knobs, seeds = parse_overrides(settings or []), parse_seeds(confirm_seeds) if confirm_seeds else None
    plan_sweep(track, preset, seed, knobs, grid or [], candidate or [], *files, seeds)  # before anything is started
    swept = _run_flow(
        "sweep",
        track=track,
        preset=preset,
        seed=seed,
        knobs=knobs,
        grid=grid,
        candidates=candidate,
        space_file=files[0],
        artifact=files[1],
        checkpoint=files[2],
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
    epilog=_examples(
        "pgolf ablate smoke-base smoke",
        "pgolf ablate old.toml new.toml --seeds 42,314,999,7",
    )
)
def ablate(
    old: Annotated[str, typer.Argument(help="The preset before: a name, or a TOML file.", autocompletion=_presets)],
    new: Annotated[str, typer.Argument(help="The preset after.", autocompletion=_presets)],
    track: Annotated[
        str, typer.Option(help="Whose text, ranks and seeds to take.", autocompletion=_tracks)
    ] = "cpu_smoke",
    seeds: Annotated[str | None, typer.Option(help="Two or more, as in 42,314,999; default: the track's.")] = None,
    ablation_id: Annotated[
        str | None, typer.Option("--id", help="Folder in --runs-dir; default: of the inputs.")
    ] = None,
    runs_dir: Annotated[Path, typer.Option(help="Folder for ablations.")] = Path("runs"),
    data_dir: Annotated[Path, typer.Option(help="Folder for datasets.")] = Path("data"),
    parallel: Annotated[int | None, typer.Option(min=1, help="Runs at the same time.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Say which change between two presets brought what, over seeds.

    The first is run as it is, with each knob in which the second differs alone, and with all of them together.
    Stopped or killed, the same command goes on, and repeats nothing.
    """
    from pgolf.record.request import parse_seeds
    from pgolf.sweep.plan import plan_ablation

    named = list(parse_seeds(seeds)) if seeds else None
    plan_ablation(old, new, track, named)  # before anything is started
    ablated = _run_flow(
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


def _run_flow(name: str, **parameters: Any) -> Any:
    """A flow of flows.sweep, with its log on the terminal."""
    from pgolf.record.board import show_log

    show_log()
    from pgolf.flows.here import run_here

    try:
        return run_here("pgolf.flows.sweep", name, parameters)
    except (KeyboardInterrupt, SystemExit) as e:
        stderr.print("stopped: what is finished is kept, the same command goes on from there", soft_wrap=True)
        raise typer.Exit(int(e.code or 0) if isinstance(e, SystemExit) else 130) from None


def _show_report(outcome: Any, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(outcome.as_json(), indent=2, allow_nan=False))
    else:
        typer.echo(f"{outcome.report.read_text()}\n{outcome.report}")


@pods_app.command("list")
def pods_list(
    pods_file: Annotated[Path | None, typer.Option(help="As of `pgolf record`.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the pods as JSON.")] = False,
) -> None:
    """Every pod of the RunPod account: whose, of which record, at what price."""
    from pgolf.pods.reap import account, find

    api, _ = account(pods_file)
    found = find(api)
    if as_json:
        typer.echo(json.dumps([pod.as_json() for pod in found], indent=2))
        return
    for pod in found:
        whose = f"{pod.owner} {pod.record_id} {pod.slot}" if pod.owner else f"not pgolf's ({pod.name})"
        typer.echo(f"{pod.id}  {pod.status:8} ${pod.price_per_hour:.2f}/h  {whose}")


@pods_app.command("reap")
def pods_reap(
    record_id: Annotated[
        str | None, typer.Option("--id", help="End the pods of this record, worked on or not.")
    ] = None,
    runs_dir: Annotated[Path, typer.Option(help="Folder for records.")] = Path("runs"),
    pods_file: Annotated[Path | None, typer.Option(help="As of `pgolf record`.")] = None,
) -> None:
    """End your pods that no process of this machine works on. Other owners' pods are never touched.

    Records that are worked on elsewhere are not known here: that is what the `reaper` deployment is for.
    """
    from pgolf.pods.reap import account, reap

    api, owner = account(pods_file)
    for pod in reap(api, owner, runs_dir=runs_dir, only=record_id):
        typer.echo(f"ended {pod.id} ({pod.name})")


@data_app.command()
def pydocs(
    data_dir: Annotated[Path, typer.Option(help="Folder for datasets; this gets its own in it.")] = Path("data"),
    write_docs: Annotated[
        Path | None, typer.Option(help="Write the documents there as *.jsonl, and make no dataset.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the dataset as JSON.")] = False,
) -> None:
    """Make a dataset of 10 MB of docstrings; downloads nothing.

    They are those of the installed numpy, scipy and torch. Nothing is downloaded. A dataset of the same input that is
    already there is checked and kept.
    """
    from pgolf.data.pydocs import build, write_documents

    with _progress("reading sources") as progress:
        if write_docs:
            typer.echo(f"{write_documents(write_docs, progress=progress)} documents in {write_docs}")
            return
        dataset = build(data_dir, progress)
    _show_dataset(dataset, as_json)


@data_app.command(
    epilog=_examples(
        "pgolf data fineweb --variant sp8192 --repo OWNER/NAME --train-shards 80",
    )
)
def fineweb(
    variant: Annotated[str, typer.Option(help="sp8192, or another fineweb10B_<variant> of the repository.")],
    repo: Annotated[str, typer.Option(envvar="PGOLF_FINEWEB_REPO", help="Dataset repository: owner/name.")],
    out: Annotated[Path, typer.Option(help="The dataset's folder.")] = Path("data/fineweb"),
    train_shards: Annotated[int | None, typer.Option(min=1, help="The first, so many; default: all.")] = None,
    revision: Annotated[str, typer.Option(help="Branch, tag or commit.")] = "main",
    tokenizer: Annotated[str | None, typer.Option(help="The model's path there, if there are several.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Files at the same time.")] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="Print the dataset as JSON.")] = False,
) -> None:
    """Download shards and their tokenizer from the dataset hub.

    What is half there is taken up, and everything is verified. Token and endpoint are huggingface_hub's: HF_TOKEN,
    HF_ENDPOINT.
    """
    from pgolf.data.fineweb import fetch

    with _progress("listing") as progress:
        dataset = fetch(
            repo,
            variant,
            out,
            train_shards=train_shards,
            revision=revision,
            tokenizer=tokenizer,
            workers=workers,
            progress=progress,
        )
    _show_dataset(dataset, as_json)


@data_app.command(
    epilog=_examples(
        "pgolf data tokenize --docs docs.jsonl --tokenizer 2048.model --out data/mine --val-docs 340",
        "pgolf data tokenize --docs 'part-*.parquet' --tokenizer 2048.model --out data/mine --caseops",
    )
)
def tokenize(
    docs: Annotated[list[str], typer.Option(help="*.jsonl, *.parquet or *.txt; a file or a pattern; repeatable.")],
    tokenizer: Annotated[Path, typer.Option(help="A SentencePiece model.")],
    out: Annotated[Path, typer.Option(help="The dataset's folder.")],
    val_docs: Annotated[int, typer.Option(help="The first documents, so many, are the validation split.")] = 50_000,
    field: Annotated[str, typer.Option(help="Of an object or a row: the one that holds the text.")] = "text",
    shard_tokens: Annotated[int, typer.Option(help="Tokens of a shard, about, at most.")] = 100_000_000,
    case: Annotated[bool, typer.Option("--caseops", help="Transform the text; write byte side-cars.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: one a core.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the dataset as JSON.")] = False,
) -> None:
    """Turn a corpus into shards, in parallel.

    The result is the same for every number of workers. Training documents that are validation documents, too, are left
    out. Stopped or killed, the same command goes on.
    """
    from pgolf.data.tokenize import read_split
    from pgolf.data.tokenize import tokenize as make

    with _progress("starting workers") as progress:
        dataset = make(
            docs,
            tokenizer,
            out,
            val_docs=val_docs,
            field=field,
            shard_tokens=shard_tokens,
            case=case,
            workers=workers,
            progress=progress,
        )
    _show_dataset(dataset, as_json)
    split = read_split(out)
    if not as_json and (split.left_out_of_training or split.empty):
        typer.echo(
            f"left out: {split.left_out_of_training} training documents that are validation documents, too, and "
            f"{split.empty} empty ones"
        )


@data_app.command(
    "train-tokenizer",
    epilog=_examples(
        "pgolf data train-tokenizer --docs docs.jsonl --out 2048.model --vocab 2048 --val-docs 340",
    ),
)
def train_tokenizer(
    docs: Annotated[list[str], typer.Option(help="*.jsonl, *.parquet or *.txt; a file or a pattern; repeatable.")],
    out: Annotated[Path, typer.Option(help="Where to write the model.")],
    vocab: Annotated[int, typer.Option(min=300, max=65536, help="Pieces, 256 bytes and 3 control ones included.")],
    val_docs: Annotated[int, typer.Option(min=0, help="Learn nothing from so many first documents.")] = 50_000,
    field: Annotated[str, typer.Option(help="Of an object or a row: the one that holds the text.")] = "text",
    symbol: Annotated[list[str] | None, typer.Option(help="Always a piece of its own; repeatable.")] = None,
    case: Annotated[bool, typer.Option("--caseops", help="For text transformed by CaseOps.")] = False,
    sample_bytes: Annotated[int, typer.Option(min=1, help="Learn from about so many bytes.")] = 200_000_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Learn a tokenizer: SentencePiece BPE with byte fallback.

    It is measured on the documents that are held out: bytes per token, pieces that do not occur.
    """
    from pgolf.data.tokenizer import train_on_corpus

    with _progress("reading") as progress:
        trained = train_on_corpus(
            docs,
            out,
            vocab,
            val_docs=val_docs,
            field=field,
            symbols=symbol or (),
            case=case,
            sample_bytes=sample_bytes,
            progress=progress,
        )
    if as_json:
        typer.echo(json.dumps(trained.as_json()))
    else:
        _show_rows([(k, f"{v:,.4f}" if k == "bytes_per_token" else str(v)) for k, v in trained.as_json().items()])


@caseops_app.command("encode")
def caseops_encode() -> None:
    """Transform UTF-8 from standard input to standard output."""
    from pgolf.data.caseops import encode_file

    encode_file(sys.stdin.buffer, sys.stdout.buffer)


@caseops_app.command("decode")
def caseops_decode() -> None:
    """Undo `encode`; exit 2 where standard input is no transformed text."""
    from pgolf.data.caseops import decode_file

    decode_file(sys.stdin.buffer, sys.stdout.buffer)


@contextmanager
def _progress(what: str) -> Iterator[Callable[[str, int, int], None]]:
    """A bar on a terminal, told by (what is being done, done, total)."""
    with Progress(console=stderr, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


def _show_dataset(dataset: "Dataset", as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(dataset), default=str))
        return
    did = "reused" if dataset.reused else "built"
    typer.echo(
        f"{did} {dataset.documents} documents: {dataset.train_tokens} tokens to train on, {dataset.val_tokens} "
        f"to validate ({dataset.val_bytes} bytes, SHA-256 {dataset.val_sha256})"
    )
    if dataset.val_documents_in_train:
        typer.echo(f"{dataset.val_documents_in_train} validation documents are training documents, too")
    typer.echo(f"DATA_DIR={dataset.data_dir} VOCAB_SIZE={dataset.vocab_size}")


@app.command(
    epilog=_examples(
        "pgolf pack --preset pr1812 -o train_gpt.py --explain",
        "pgolf pack --preset pr1812 --check train_gpt.py",
    )
)
def pack(
    preset: Annotated[
        str | None, typer.Option(help="Preset whose knobs become the file's defaults.", autocompletion=_presets)
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write it.")] = Path("train_gpt.py"),
    source: Annotated[Path | None, typer.Option(help="Pack this trainer of your own instead of pgolf's.")] = None,
    extra: Annotated[list[Path] | None, typer.Option(help="A module to pack along; may be repeated.")] = None,
    specialise: Annotated[bool, typer.Option(help="Leave out what the preset switches off, for good.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say how many bytes each module costs.")] = False,
    check: Annotated[Path | None, typer.Option(help="Write nothing; is FILE what would be written?")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print sizes and hashes as JSON.")] = False,
) -> None:
    """Pack the trainer into one small file, train_gpt.py.

    It runs where pgolf is not installed. Knobs stay environment variables: `TTT_EPOCHS=5 python train_gpt.py`. The same
    source gives the same bytes.
    """
    from pgolf import pack as packing
    from pgolf.presets import load

    packed = packing.pack(load(preset) if preset else None, source=source, extra=extra or (), specialise=specialise)
    if check:
        if why := packing.difference(packing.read_packed(check), packed):
            raise RunFailed(f"{check}: {why}")
        typer.echo(f"{check} is what this checkout makes ({len(packed.code)} bytes)")
        return
    packing.write_packed(output, packed)
    if as_json:
        typer.echo(json.dumps(packed.facts()))
        return
    if explain:
        for name, size in packed.bytes_by_module.items():
            typer.echo(f"{size:7} {name}")
    typer.echo(f"{len(packed.code):7} {output}")


@app.command()
def unpack(file: Annotated[Path, typer.Argument(help="A file that `pgolf pack` made.")]) -> None:
    """Print the source that a packed file holds, for reading. Nothing of it is run."""
    from pgolf import pack as packing

    typer.echo(packing.unpack(packing.read_packed(file)), nl=False)


@app.command(
    epilog=_examples(
        "pgolf audit records/2026-04-09_mine --against pr1493",
        "pgolf audit records/*/*/ --json",
    )
)
def audit(
    folders: Annotated[list[Path], typer.Argument(help="Record folders, anyone's.")],
    against: Annotated[
        str | None, typer.Option(help="The record to beat: a ledger entry or a folder.", autocompletion=_ledger_entries)
    ] = None,
    track: Annotated[
        str | None, typer.Option(help="Track whose rules count; default: the one it names.", autocompletion=_tracks)
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="No grace over the limits of time.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the audits as JSON.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write the audits as a page, too.")] = None,
) -> None:
    """Say what a record's logs really show, beside what it claims.

    Exit 0: nothing fails; 1: something does; 2: a folder cannot be read.
    """
    from pgolf import tracks
    from pgolf.audit.audit import audit_folders

    _show_audits(audit_folders(folders, tracks.load(track) if track else None, against, strict), as_json, html)


@app.command(
    epilog=_examples(
        "pgolf archive records --html leaderboard.html",
    )
)
def archive(
    folder: Annotated[Path, typer.Argument(help="A folder with record folders in it, at any depth up to four.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the audits as JSON.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a leaderboard, too: a page that sorts.")] = None,
) -> None:
    """Audit every record in a repository, a line each.

    Exit 0: nothing fails; 1: something does; 2: there is none, or one cannot be read.
    """
    from pgolf.audit.audit import audit_folders, record_folders

    audits = audit_folders(record_folders(folder))
    if html:
        from pgolf.report.leaderboard import write_leaderboard

        write_leaderboard(f"Leaderboard of {folder.resolve().name}", audits, html)
    _show_audits(audits, as_json, one_line_each=True)


@app.command(
    epilog=_examples(
        "pgolf report records/2026-04-09_mine --against pr1493",
        "pgolf report records/*/*/ -o all.html",
    )
)
def report(
    folders: Annotated[list[Path], typer.Argument(help="Record folders, anyone's.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write.")] = Path("report.html"),
    against: Annotated[
        str | None,
        typer.Option(
            help="The record to beat: a ledger entry or a folder; default: the one it names.",
            autocompletion=_ledger_entries,
        ),
    ] = None,
    track: Annotated[
        str | None, typer.Option(help="Track whose rules count; default: the one it names.", autocompletion=_tracks)
    ] = None,
) -> None:
    """Make one page of a record: curves, stages, limits, evidence.

    It has the comparison, the knobs and the hashes, too. The page is one file that loads nothing. Several folders make
    one page with a part each. Exit 0: it is written, whatever it says; 2: a folder cannot be read, nothing was written.
    """
    from pgolf import tracks
    from pgolf.audit.audit import audit_folders
    from pgolf.report.page import write_report

    audits = audit_folders(folders, tracks.load(track) if track else None, against)
    typer.echo(str(write_report(audits, output)))


def _show_audits(audits: "list[Audit]", as_json: bool, html: Path | None = None, one_line_each: bool = False) -> None:
    from pgolf.audit.audit import as_json as audits_json
    from pgolf.files import write_atomic
    from pgolf.report.audit_tables import archive_table, as_html, audit_tables

    parts = [archive_table(audits)] if one_line_each else [audit_tables(a) for a in audits]
    if html:
        write_atomic(html, as_html(parts))
    if as_json:
        typer.echo(json.dumps(audits_json(audits), indent=2, allow_nan=False))
    else:
        Console(soft_wrap=False).print(*parts, sep="\n\n")
    raise typer.Exit(1 if any(a.failed for a in audits) else 0)


@app.command(
    epilog=_examples(
        "pgolf compare records/2026-04-09_mine pr1493",
        "pgolf compare 1.0780,1.0779,1.0783 mean=1.0810,std=0.0002,n=3",
    )
)
def compare(
    new: Annotated[str, typer.Argument(help="The new record.")],
    old: Annotated[str, typer.Argument(help="The previous one.")],
    margin_nats: Annotated[float, typer.Option(help="The bar, in nats per token.")] = 0.005,
    alpha: Annotated[float, typer.Option(help="Level of the one-sided test.")] = 0.01,
    bytes_per_token: Annotated[float | None, typer.Option(help="Of the validation text, for plain numbers.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Test whether a new mean is really lower, and clears the bar.

    Welch's test against zero and against the bar, with its power. Exit 0, whatever it says.

    A side is a record folder, a ledger entry (pr1493), several of these with commas between (reproductions, pooled),
    final scores in bpb (1.0793,1.0802,1.0800), or a published summary (mean=1.0810,std=0.0002,n=3).
    """
    from pgolf.audit.operand import read_operand
    from pgolf.stats import comparison as stats

    new_side = read_operand(new, "new numbers", bytes_per_token)
    old_side = read_operand(old, "previous numbers", bytes_per_token)
    comparison = stats.compare(new_side, old_side, margin_nats, alpha)
    if as_json:
        typer.echo(json.dumps(comparison.as_json(), indent=2, allow_nan=False))
        return
    _show_rows(comparison.rows())
    for note in comparison.notes:
        typer.echo(f"- {note}")


@app.command(
    epilog=_examples(
        "pgolf power --std 0.0002 --delta 0.0021",
    )
)
def power(
    std: Annotated[float, typer.Option(help="Standard deviation of one seed's score.")],
    delta: Annotated[float, typer.Option(help="The gain to be shown: previous mean − new mean.")],
    margin: Annotated[float, typer.Option(help="The bar, in the same unit.")] = 0.0,
    seeds: Annotated[int, typer.Option(help="New seeds that are planned.")] = 3,
    old_seeds: Annotated[int, typer.Option(help="Seeds of the previous record.")] = 3,
    alpha: Annotated[float, typer.Option(help="Level of the one-sided test.")] = 0.01,
    chance: Annotated[float, typer.Option(help="The chance of success asked for.")] = 0.9,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Say how many seeds it takes to show a gain.

    All values in one unit: bpb, or nats per token.
    """
    from pgolf.stats.power import plan_seeds

    answer = plan_seeds(std, delta, margin=margin, n_new=seeds, n_old=old_seeds, alpha=alpha, target=chance)
    if as_json:
        typer.echo(json.dumps(asdict(answer), indent=2))
    else:
        _show_rows(answer.rows())


@app.command(
    epilog=_examples(
        "pgolf reproduce records/2026-04-09_mine --seed 42",
    )
)
def reproduce(
    folder: Annotated[Path, typer.Argument(help="A record folder; its train_gpt.py is run.")],
    seed: Annotated[int | None, typer.Option(help="One of the record's seeds; default: its first.")] = None,
    artifact: Annotated[Path | None, typer.Option(help="Score this artifact of the seed instead of training.")] = None,
    data_dir: Annotated[Path, typer.Option(help="The folder with datasets/ and tokenizers/.")] = Path("data"),
    out: Annotated[Path | None, typer.Option(help="Where to run; default: runs/reproduce-<folder>.")] = None,
) -> None:
    """Run a record's own train_gpt.py again: does the result agree?

    Exit 0: the spread of the record's seeds allows it; 1: it does not, or the run failed.
    """
    from pgolf.record.reproduce import reproduce as run_again

    name = folder.resolve().name
    with Progress(console=stderr, transient=True) as bar:
        task = bar.add_task(f"seed {seed or ''} of {name}", total=None)
        result = run_again(
            folder,
            out or Path("runs") / f"reproduce-{name}",
            data_dir,
            seed,
            artifact,
            lambda p: bar.update(task, description=p.stage, completed=p.done, total=p.total or None),
        )
    typer.echo(str(result))
    raise typer.Exit(result.inside is not True)


@app.command(
    epilog=_examples(
        "pgolf doctor --track 10min_16mb",
    )
)
def doctor(
    track: Annotated[
        str, typer.Option(help="The track that a record is to be of.", autocompletion=_tracks)
    ] = "cpu_smoke",
    data_dir: Annotated[Path, typer.Option(help="Folder for datasets.")] = Path("data"),
    runs_dir: Annotated[Path, typer.Option(help="Folder for records.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what this machine lacks for a record, and how to get it.

    Nothing is changed, and no key is shown. Exit 0: a record can start; 1: something is missing.
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


@app.command(
    epilog=_examples(
        "pgolf fit runs/train/1",
        "pgolf fit runs/train/1 --set MATRIX_BITS=5 -o smaller.ptz",
    )
)
def fit(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run: final_model.pt and events.jsonl.")],
    track: Annotated[
        str, typer.Option(help="Whose cap to fill: a track's name, or a TOML file.", autocompletion=_tracks)
    ] = "10min_16mb",
    cap: Annotated[int | None, typer.Option(min=1, help="Bytes of code and model; default: the track's.")] = None,
    code_bytes: Annotated[
        int | None, typer.Option(min=0, help="Bytes of the code; default: as the run logged.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KNOB=VALUE", help="A knob other than the run's; repeatable.")
    ] = None,
    loss_tokens: Annotated[int, typer.Option(min=1, help="Of unseen training text, for each loss.")] = 32768,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the artifact there.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Find the clip widths that fill the cap at the least loss.

    They are for the model of a finished run. Losses are taken on training text that comes after what the run trained
    on. SIZE_MARGIN bytes are left free; a trainer does the same by itself with FIT_TO_CAP=1.
    """
    from pgolf import tracks
    from pgolf.fit import fit as fit_run
    from pgolf.record.request import parse_overrides

    with stderr.status("fitting") as status:
        found = fit_run(
            run,
            cap or tracks.load(track).limits.artifact_bytes,
            code_bytes,
            parse_overrides(settings or []),
            loss_tokens,
            output,
            lambda text: status.update(escape(str(text))),
        )
    if as_json:
        typer.echo(json.dumps(found.as_json()))
        return
    for knob, before in found.widths_before.items():
        typer.echo(f"{knob.upper()}={found.widths[knob]}  (was {before})")
    typer.echo(
        f"model: {found.model_bytes_before:,} → {found.model_bytes:,} bytes; with {found.code_bytes:,} of code "
        f"{found.total_bytes:,} of {found.cap:,}"
    )
    text = "unseen tokens" if found.unseen else "tokens that it trained on, since there are no others"
    typer.echo(f"loss on {found.loss_tokens:,} {text}: {found.loss_before:.6f} → {found.loss:.6f}")
    if found.at_the_narrowest:
        typer.echo("no narrower widths are tried: for a better use of the room raise MATRIX_BITS or EMBED_BITS")


@app.command(
    "eval",
    epilog=_examples(
        "pgolf eval final_model.int6.ptz --mode ttt --set TTT_EPOCHS=5 --max-seconds 600",
    ),
)
def evaluate(
    artifact: Annotated[Path, typer.Argument(help="A final_model.int6.ptz.")],
    mode: Annotated[str, typer.Option(help="fixed, sliding, ttt or phased.")] = "sliding",
    preset: Annotated[
        str | None, typer.Option(help="Preset whose knobs of evaluation to take.", autocompletion=_presets)
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KNOB=VALUE", help="A knob of evaluation; repeatable.")
    ] = None,
    data_dir: Annotated[Path, typer.Option(help="The folder with datasets/ and tokenizers/, or one above it.")] = Path(
        "data"
    ),
    split: Annotated[str, typer.Option(help="val, or train for a look.")] = "val",
    tokens: Annotated[int | None, typer.Option(min=1, help="Score only so many, for a quick look.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    max_seconds: Annotated[
        float | None, typer.Option(min=0, help="Stop as soon as it is plain to take longer.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the score as JSON.")] = False,
) -> None:
    """Score an artifact.

    The model is the artifact's; knobs of evaluation are the trainer's defaults, or as given.

    Exit 0: scored; 1: stopped, since --max-seconds would be missed; 2: bad input.
    """
    from pgolf.artifact import eval_knobs, evaluate_artifact, in_folder, open_artifact
    from pgolf.record.request import parse_overrides

    opened = in_folder(open_artifact(artifact, eval_knobs(preset, parse_overrides(settings or []), device)), data_dir)
    with Progress(*Progress.get_default_columns(), console=stderr, transient=True) as bar:
        task = bar.add_task(mode, total=None)
        result = evaluate_artifact(
            opened, mode, split, tokens, max_seconds, lambda done, of: bar.update(task, completed=done, total=of)
        )
    if as_json:
        typer.echo(json.dumps(result.as_json()))
        return
    typer.echo(
        f"{mode} val_loss:{result.val_loss:.8f} val_bpb:{result.val_bpb:.8f} eval_time:{result.seconds * 1000:.0f}ms "
        f"({result.positions} tokens, {result.bytes} bytes, {result.device} {result.dtype})"
    )


@app.command(
    epilog=_examples(
        "pgolf probe final_model.int6.ptz --preset smoke",
        "pgolf probe their_eval.py:make_evaluator",
    )
)
def probe(
    target: Annotated[str, typer.Argument(help="An artifact, or their_eval.py:make_evaluator.")],
    train_gpt: Annotated[Path | None, typer.Option(help="The packed trainer; default: packed here and now.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="The record's preset, of an artifact.", autocompletion=_presets)
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KNOB=VALUE", help="A knob of the record; repeatable.")
    ] = None,
    mode: Annotated[
        list[str] | None,
        typer.Option(help="One of an artifact's evaluators; repeatable. Default: those of the record."),
    ] = None,
    data_dir: Annotated[Path, typer.Option(help="Where an artifact's dataset is.")] = Path("data"),
    tokens: Annotated[Path | None, typer.Option(help="A shard to cut an evaluator's streams from.")] = None,
    length: Annotated[int | None, typer.Option(min=2, help="Positions of an evaluator's streams.")] = None,
    allow: Annotated[list[Path] | None, typer.Option(help="A file that an evaluator may read; repeatable.")] = None,
    positions: Annotated[int | None, typer.Option(min=1, help="Positions to change a stream at.")] = None,
    seeds: Annotated[str | None, typer.Option(help="One stream each; default: 0,1, or 0 for an artifact.")] = None,
    device: Annotated[str, typer.Option(help="Where to run an artifact: cpu or cuda.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Test whether an evaluation is legal.

    Is it causal, normalised, scored before updated, one pass, byte-exact, sealed? Exit 0: no probe fails; 1: one does,
    and its counter-example is shown; 2: bad input. See docs/legality.md.
    """
    from pgolf import legality
    from pgolf.record.request import parse_overrides, parse_seeds

    knobs, streams = parse_overrides(settings or []), parse_seeds(seeds) if seeds else None
    with Progress(console=stderr, transient=True) as bar:
        task = bar.add_task("reading", total=None)

        def progress(what: str, done: int, of: int) -> None:
            bar.update(task, description=what, completed=done, total=of)

        results = legality.probe_target(
            target,
            train_gpt=train_gpt,
            preset=preset,
            settings=knobs,
            data_dir=data_dir,
            shard=tokens,
            length=length,
            allowed=allow or (),
            positions=positions,
            seeds=streams,
            modes=mode,
            device=device,
            progress=progress,
        )
    if as_json:
        typer.echo(json.dumps([r.as_json() for r in results], indent=2, allow_nan=False))
    else:
        Console(width=None if sys.stdout.isatty() else 120).print(legality.table(results))
    raise typer.Exit(any(r.passed is False for r in results))


@ledger_app.command("list")
def list_records(
    as_json: Annotated[bool, typer.Option("--json", help="Print every entry as JSON.")] = False,
) -> None:
    """The standing records, best first."""
    from pgolf import ledger

    entries = sorted((ledger.load(name) for name in ledger.names()), key=lambda s: (s.track, s.sample().mean))
    if as_json:
        typer.echo(json.dumps([asdict(s) for s in entries], indent=2))
        return
    for s in entries:
        typer.echo(f"{s.sample().mean:.8f}  {s.date}  {s.track}  {s.name}  ({len(s.seeds)} seeds, {s.author})")


@ledger_app.command("build")
def build_ledger(
    folder: Annotated[Path, typer.Argument(help="A folder of record folders.")],
    out: Annotated[Path | None, typer.Option(help="Where to write; default: the ledger that pgolf ships.")] = None,
) -> None:
    """Make the entries of all record folders anew, from their logs."""
    from pgolf import ledger

    for standing in ledger.build(folder, out):
        typer.echo(str(standing.sample()))


@ledger_app.command("add")
def add_to_ledger(
    name: Annotated[str, typer.Argument(help="Name of the entry.")],
    logs: Annotated[list[Path], typer.Argument(help="The logs of its seeds, one each.")],
    track: Annotated[str, typer.Option(help="The track it is a record of.", autocompletion=_tracks)],
    title: Annotated[str, typer.Option(help="What it is, in a few words.")],
    date: Annotated[str, typer.Option(help="YYYY-MM-DD.")],
    author: Annotated[str, typer.Option(help="Whose it is.")] = "pgolf",
    source: Annotated[str, typer.Option(help="Where the logs come from.")] = "",
    out: Annotated[Path | None, typer.Option(help="Where to write; default: the ledger that pgolf ships.")] = None,
) -> None:
    """Make one entry from the logs of its seeds."""
    from pgolf import ledger
    from pgolf.evidence.logs import read_run

    runs = [read_run(log) for log in logs]
    standing = ledger.from_runs(runs, name=name, track=track, title=title, date=date, author=author, source=source)
    typer.echo(str(ledger.write_standing((out or ledger.FOLDER) / f"{name}.json", standing)))


def _show_rows(rows: list[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        typer.echo(f"{name:{width}}  {value}")


def main() -> None:
    """Entry point: known failures become one clear line and an exit code, never a stack trace."""
    try:
        app()
    except BadInput as e:
        stderr.print(f"[red]pgolf:[/red] {escape(str(e))}", soft_wrap=True)
        sys.exit(2)
    except RunFailed as e:
        stderr.print(f"[red]pgolf:[/red] {escape(str(e))}", soft_wrap=True)
        sys.exit(1)
    except OSError as e:
        if e.errno not in FULL and not (e.filename and e.errno in UNUSABLE):
            raise
        where = e.filename2 or e.filename  # of a rename the file that a user knows
        said = f"{where}: {e.strerror}" if where else str(e.strerror)
        stderr.print(f"[red]pgolf:[/red] {escape(said)}", soft_wrap=True)
        sys.exit(2 if e.errno in UNUSABLE else 1)


if __name__ == "__main__":
    main()
