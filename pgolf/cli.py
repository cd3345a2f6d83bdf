"""`pgolf …`: every command is one call into the library.

Exit codes: 0 done, 1 verdict negative or run failed, 2 bad input.
"""

import sys

import typer
from rich.console import Console

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


def main() -> None:
    """Entry point: known failures become one clear line and an exit code, never a stack trace."""
    try:
        app()
    except BadInput as e:
        stderr.print(f"[red]pgolf:[/red] {e}", markup=True, soft_wrap=True)
        sys.exit(2)
    except RunFailed as e:
        stderr.print(f"[red]pgolf:[/red] {e}", markup=True, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
