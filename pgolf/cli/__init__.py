"""`pgolf …`: every command is one call into the library."""

import codecs
import errno
import io
import sys
from contextlib import suppress
from typing import Annotated, NoReturn

import typer
from rich.text import Text

from pgolf import __version__
from pgolf.cli import (
    data,
    doctor,
    evaluate,
    evidence,
    ledger,
    pods,
    program,
    record,
    reproduce,
    sweep,
    train,
    upstream,
    watch,
)
from pgolf.cli.given import take_no_empty_word
from pgolf.cli.output import tell
from pgolf.errors import BadInput, RunFailed

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)  # help as plain text
for module in (record, watch, reproduce, doctor, train, sweep, evidence, evaluate, upstream):
    app.add_typer(module.app)
GROUPS = {"data": data.app, "ledger": ledger.app, "pods": pods.app, "program": program.app}
for name, commands in GROUPS.items():
    app.add_typer(commands, name=name)
take_no_empty_word(app)

# A path that a user gave and that the system refuses is bad input, wherever it shows. A full disk is a failed run.
UNUSABLE = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
    errno.ELOOP,
)
FULL = (errno.ENOSPC, errno.EDQUOT)
LOOP = "Symlink loop from "
# Characters of pgolf's own messages, for a terminal or a file that has only ASCII.
ASCII = {"→": "->", "←": "<-", "…": "...", "–": "-", "—": "-", "−": "-", "×": "x", "·": ".", "≤": "<=", "≥": ">="}
ASCII |= {"±": "+-", "√": "sqrt", "●": "*", "▲": "!", "✗": "x", "✓": "+", "’": "'", "“": '"', "”": '"', "Δ": "Delta"}
ASCII |= {"α": "alpha", "─": "-", "━": "="}


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

    `pgolf COMMAND --help` describes a command. Exit codes: 0 done; 1 a run failed, or a command that judges (record,
    audit, archive, reproduce, probe, submit) says no; 2 bad input.
    """


def _print_anything() -> None:
    """Let no character stop a command: one that the output's encoding lacks is written in ASCII."""

    def replaced(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        return "".join(ASCII.get(c, "?") for c in error.object[error.start : error.end]), error.end

    codecs.register_error("pgolf", replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with suppress(OSError, ValueError):  # one that is closed, or no more what it was
                stream.reconfigure(errors="pgolf")


def _command(arguments: list[str]) -> str:
    """The command that `arguments` name: `audit`, or `pods list`."""
    words = [word for word in arguments if not word.startswith("-")] or ["pgolf"]
    return " ".join(words[: 2 if words[0] in GROUPS else 1])


def _end(message: str, code: int) -> NoReturn:
    """Say why a command ends. A message may quote a stranger's words: none of them moves the terminal's cursor."""
    shown = "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in message)
    tell(Text.assemble(("pgolf:", "red"), f" {shown}"))
    sys.exit(code)


def main() -> None:
    """Run a command; a known failure becomes one line and an exit code, never a stack trace."""
    _print_anything()
    try:
        app()
    except BadInput as e:
        _end(str(e), 2)
    except RunFailed as e:
        _end(str(e), 1)
    except ModuleNotFoundError as e:
        package = (e.name or "pgolf").partition(".")[0]
        if package == "pgolf":
            raise
        needs = f"{_command(sys.argv[1:])} needs {package}, which is not installed"
        _end(f"{needs}; `pip install pgolf` brings all that it needs", 2)
    except OSError as e:
        if e.errno not in FULL and not (e.filename and e.errno in UNUSABLE):
            raise
        path = e.filename2 or e.filename  # of a rename, the file that a user knows
        message = f"{path}: {e.strerror}" if path else str(e.strerror)
        _end(message, 2 if e.errno in UNUSABLE else 1)
    except RuntimeError as e:  # of Python 3.11 and 3.12, for a path
        if not str(e).startswith(LOOP):
            raise
        _end(f"{str(e).removeprefix(LOOP)}: a link that leads to itself", 2)
