"""`pgolf …`: every command is one call into the library.

Exit codes: 0 done, 1 verdict negative or run failed, 2 bad input.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from pgolf import __version__
from pgolf.errors import BadInput, RunFailed

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
data_app = typer.Typer(no_args_is_help=True, help="Make or fetch datasets and tokenizers.")
app.add_typer(data_app, name="data")
stderr = Console(stderr=True, highlight=False)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"pgolf {__version__}")
        raise typer.Exit()


@app.callback()
def root(version: bool = typer.Option(False, "--version", callback=_version, is_eager=True)) -> None:
    """Run a Parameter Golf record, verify it from its logs, and write it up."""


@data_app.command()
def pydocs(
    data_dir: Annotated[Path, typer.Option(help="Folder for datasets; this gets its own in it.")] = Path("data"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the dataset as JSON.")] = False,
) -> None:
    """Make a dataset of about 10 MB from the docstrings of the installed numpy, scipy and torch.

    Nothing is downloaded. A dataset of the same input that is already there is checked and kept.
    """
    from pgolf.data.pydocs import build

    with Progress(console=stderr, transient=True) as bar:
        task = bar.add_task("reading sources", total=None)
        dataset = build(data_dir, lambda what, done, of: bar.update(task, description=what, completed=done, total=of))
    if as_json:
        typer.echo(json.dumps(asdict(dataset), default=str))
        return
    did = "reused" if dataset.reused else "built"
    typer.echo(
        f"{did} {dataset.documents} documents: {dataset.train_tokens} tokens to train on, {dataset.val_tokens} "
        f"to validate ({dataset.val_bytes} bytes, SHA-256 {dataset.val_sha256})"
    )
    typer.echo(f"DATA_DIR={dataset.data_dir} VOCAB_SIZE={dataset.vocab_size}")


@app.command()
def pack(
    preset: Annotated[str | None, typer.Option(help="Preset whose knobs become the file's defaults.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write it.")] = Path("train_gpt.py"),
    source: Annotated[Path | None, typer.Option(help="Pack this trainer of your own instead of pgolf's.")] = None,
    extra: Annotated[list[Path] | None, typer.Option(help="A module to pack along; may be repeated.")] = None,
    specialise: Annotated[bool, typer.Option(help="Leave out what the preset switches off, for good.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say how many bytes each module costs.")] = False,
    check: Annotated[Path | None, typer.Option(help="Write nothing; is FILE what would be written?")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print sizes and hashes as JSON.")] = False,
) -> None:
    """Pack the trainer into one small file that runs where pgolf is not installed.

    Knobs stay environment variables: `TTT_EPOCHS=5 python train_gpt.py`. The same source gives the same bytes.
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


if __name__ == "__main__":
    main()
