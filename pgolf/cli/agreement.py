"""Asks whether a stranger's program may run."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pgolf.errors import BadInput

if TYPE_CHECKING:
    from pgolf.program import Program

Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Run a program from a record's folder, which may be anybody's, unasked.")
]


def agreed(path: Path, program: "Program", yes: bool, may: str) -> bool:
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
