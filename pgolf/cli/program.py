"""`pgolf program …`."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from pgolf import tracks
from pgolf.cli.options import AsJson, Track, examples
from pgolf.cli.output import show_table

if TYPE_CHECKING:
    from pgolf.program import Need
    from pgolf.program.check import Check

MOST_CHARACTERS = 500  # of a stranger's text in a cell

app = typer.Typer(no_args_is_help=True, help="Look into programs of your own before they run.")

ProgramPath = Annotated[Path, typer.Argument(help="A train_gpt.py, the folder that it is in, or a record folder.")]
ProgramSettings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Set a variable that the source reads; repeatable."),
]
ProgramEnv = Annotated[
    list[str] | None, typer.Option("--env", metavar="NAME=VALUE", help="Set any other variable; repeatable.")
]


@app.callback()
def group() -> None:
    """Keep `check` a command of its own, also while there is no other."""


@app.command(
    epilog=examples(
        "pgolf program check mine/train_gpt.py",
        "pgolf program check records/track_10min_16mb/2026-04-09_Theirs --set TTT_EPOCHS=4",
        "pgolf program check theirs/train_gpt.py --track nanogpt_short",
    )
)
def check(
    path: ProgramPath,
    settings: ProgramSettings = None,
    env: ProgramEnv = None,
    track: Track = "cpu_smoke",
    as_json: AsJson = False,
) -> None:
    """Show what pgolf reads in a program: files, variables, needs, prints. Nothing of it is run.

    Exit 0: it can be recorded on this machine; 1: it lacks something, which is said; 2: it cannot be read, or is no
    program.
    """
    from pgolf.errors import BadInput
    from pgolf.program.check import Check, gpu_here
    from pgolf.program.environment import parse_variables
    from pgolf.program.find import read_program
    from pgolf.record.short import shortened

    speedrun = tracks.load(track).target is not None
    variables, more = parse_variables(settings or []), parse_variables(env or [], "--env")
    program, reading = read_program(path, variables, more, speedrun=speedrun)
    try:
        short = shortened(program)
    except BadInput:
        short = None  # which is one of the things that it lacks
    found = Check(program, reading, short, gpu_here(), speedrun)
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
    else:
        _show(found)
    raise typer.Exit(1 if found.lacks else 0)


def _show(check: "Check") -> None:
    """All that was found, for people. Words of the program are shown, never interpreted."""
    _heading(_shown(f"{check.program.name}: {check.program.script}"))
    _heading(f"{check.program.code_bytes:,} bytes of code")
    show_table(list(_files(check)), ("file", "bytes", "sha256", "counts as"), numbers={1})
    show_table(list(_variables(check)), ("variable", "default", "in a run", "read in"))
    show_table([(name, _shown(text)) for name, text in _about(check)])
    for heading, sentences in (
        ("Notes", check.program.notes),
        ("Could not be told by reading", check.reading.unclear),
        ("What no print states to the log reader", [f"{fact}: {so}" for fact, so in check.unstated.items()]),
        ("It cannot be recorded here as it is", check.lacks),
    ):
        if sentences:
            _heading(heading)
            for sentence in sentences:
                typer.echo(f"- {_shown(sentence)}")


def _heading(text: str) -> None:
    typer.echo()
    typer.secho(text, bold=True)


def _files(check: "Check") -> Iterator[tuple[str, ...]]:
    for name, sha256 in check.program.hashes.items():
        counts = "code" if name in check.program.code else ""
        yield _shown(name), f"{len(check.program.files[name]):,}", sha256[:12], counts


def _variables(check: "Check") -> Iterator[list[Text]]:
    """A variable that the run sets is bold."""
    from pgolf.program.environment import RANKS

    program = check.program
    ranks = dict.fromkeys(RANKS & (program.variables or {}).keys(), "by torchrun")
    of_run = {name: "the seed" for name in [program.seed] if name} | {"RUN_ID": "the name of the run"}
    here = {**ranks, **program.data, **of_run, **program.environment}
    for name, variable in (program.variables or {}).items():
        default = "must be set" if variable.required else "none, or no constant"
        value = default if variable.default is None else variable.default
        style = "bold" if name in program.environment else ""
        where = f"{variable.file}:{variable.line}"
        yield [Text(_shown(cell), style) for cell in (name, value, here.get(name, ""), where)]
    for name in sorted(here.keys() - (program.variables or {}).keys() - {"RUN_ID"}):
        yield [Text(_shown(cell), "bold") for cell in (name, "not read by the source", here[name], "")]


def _about(check: "Check") -> Iterator[tuple[str, str]]:
    """(name, text) of what is neither a file nor a variable."""
    from pgolf.program.check import is_here

    program, reading, needs = check.program, check.reading, check.program.requires
    yield "started as", " ".join(word.replace("{nproc}", "N") for word in check.start) + " (N: the track's ranks)"
    yield from _of_speedrun(check) if check.speedrun else _of_dataset(check)
    yield "log", program.log or "its standard output, or a file of its own that pgolf finds"
    yield "imports", _needs(needs.modules, is_here) or "nothing but Python and torch"
    yield "calls", _needs(needs.commands, shutil.which) or "no command"
    machine = [f"pip install --requirement {needs.requirements}" if needs.requirements else "", needs.setup or ""]
    packages = f"pip install {' '.join(needs.packages)}, where missing" if needs.packages else ""
    yield "on a pod first", "; ".join(filter(None, [packages, *machine])) or "nothing"
    line = f" (line {reading.cuda_line})" if reading.cuda_line else ""
    yield "needs CUDA", {True: "yes", False: "no", None: "unknown"}[needs.cuda] + line
    if reading.reads:
        yield "opens", ", ".join(f"{need.name} ({need.file}:{need.line})" for need in reading.reads)
    yield "extracts itself", reading.packed or "no"
    stated = ", ".join(f"{fact} (line {line})" for fact, line in reading.prints.items())
    yield "prints", stated or "nothing that the log reader would look for"
    yield "a trial sets", " ".join(f"{k}={v}" for k, v in (check.trial or {}).items()) or "unknown"
    if not check.speedrun:
        yield "scores an artifact", " ".join(f"{k}={v}" for k, v in (program.eval_only or {}).items()) or "unknown how"


def _of_dataset(check: "Check") -> Iterator[tuple[str, str]]:
    program = check.program
    vocab = "V" if program.vocab_size is None else str(program.vocab_size)
    yield "the dataset", f"{vocab} tokens in its vocabulary" if program.vocab_size else "of the track's vocabulary"
    yield "{data}", "the dataset's folder, --data-dir"
    yield "{shards}", f"{{data}}/datasets/fineweb10B_sp{vocab}"
    yield "{tokenizer}", f"{{data}}/tokenizers/fineweb_{vocab}_bpe.model"
    yield "artifact", " or ".join(program.artifact)


def _of_speedrun(check: "Check") -> Iterator[tuple[str, str]]:
    from pgolf.record.runs_data import reads_below

    below = reads_below(check.program)
    if below is not None:
        yield "data", f"{', '.join(sorted(below)) or 'files'} below data/, which is a link to --data-dir where it runs"
    if check.program.data or below is None:
        yield "{data}", "--data-dir" if check.program.data else "not read"


def _shown(text: str) -> str:
    from pgolf.evidence.lines import printable

    return printable(text, MOST_CHARACTERS)


def _needs(needs: "Sequence[Need]", is_here: Callable[[str], object]) -> str:
    return ", ".join(
        f"{need.name} ({'here' if is_here(need.name) else 'not here'}{', optional' if need.optional else ''})"
        for need in needs
    )
