"""Writes docs/cli.md, the reference of the command line, from the commands themselves: `make docs` runs it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from pgolf.cli import app

PAGE = Path(__file__).with_name("cli.md")
HEAD = """\
# Command line

<!-- Written by docs/cli_reference.py from the commands' own help. To change it, edit the help and run `make docs`. -->

`pgolf COMMAND --help` shows the same in a terminal; `pgolf --install-completion` completes commands, presets, tracks
and records in your shell.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | the verdict is negative, or a run failed |
| 2 | bad input; the message names it, and nothing was started |
"""


def reference() -> str:
    """The whole page."""
    root = typer.main.get_command(app)
    context = root.make_context("pgolf", [], resilient_parsing=True)
    return "\n".join([HEAD, *sections(root, context, depth=1)])


def sections(group: Any, context: Any, depth: int) -> Iterator[str]:
    """One section a command, in the order of `--help`; those of a group follow it, a level deeper."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command.hidden:
            continue
        inner = command.context_class(command, info_name=name, parent=context)
        yield f"{'#' * (depth + 1)} {inner.command_path}\n"
        yield from body(command, inner)
        if hasattr(command, "list_commands"):
            yield from sections(command, inner, depth + 1)


def body(command: Any, context: Any) -> Iterator[str]:
    """Help, usage, examples and options of a command; of a group only the help, as its commands have the rest."""
    yield f"{markdown(command.help)}\n"
    if hasattr(command, "list_commands"):
        return
    yield f"`{' '.join(command.get_usage(context).removeprefix('Usage: ').split())}`\n"
    examples = re.findall(r"^  (.+)$", command.epilog or "", re.MULTILINE)
    if examples:
        yield "\n".join(f"    {example}" for example in examples) + "\n"
    rows = [record for parameter in command.params if (record := parameter.get_help_record(context))]
    if rows:
        yield "| option | meaning |\n|---|---|"
        yield "\n".join(f"| `{cell(names)}` | {cell(markdown(text))} |" for names, text in rows) + "\n"


def markdown(text: str | None) -> str:
    """Help as Markdown shows it: `\\b` only tells a terminal to keep the lines, `<x>` is a word and no tag."""
    lines = (text or "").replace("\b\n", "").replace("<", "&lt;")
    return re.sub(r"(?<!`)(--[a-z][\w-]*|\b[A-Z]+_[A-Z_]+\b)(?![`\w])", r"`\1`", lines)


def cell(text: str) -> str:
    """Text in a cell of a table, where a bar would end it."""
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(reference())
