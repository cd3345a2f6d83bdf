"""Where commands write: bars, messages and the log of a flow to stderr, rows to stdout."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import typer
from rich.console import Console

T = TypeVar("T")
stderr = Console(stderr=True, highlight=False)


@contextmanager
def progress_bar(text: str) -> Iterator[Callable[[str, int, int], None]]:
    """A bar on a terminal that starts with `text`; each call tells it (what is being done, done, total)."""
    from rich.progress import Progress

    with Progress(console=stderr, transient=True) as bar:
        task = bar.add_task(text, total=None)
        yield lambda text, done, total: bar.update(task, description=text, completed=done, total=total)


def counted(items: Iterable[T], text: str, total: int, shown: bool = True) -> Iterator[T]:
    """The items, counted on a terminal by a bar that says when the last one will come."""
    if not (shown and total > 1 and stderr.is_terminal):
        yield from items
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    # without redirection: stdout may be a file, and what is printed must go there
    with Progress(*columns, console=stderr, transient=True, redirect_stdout=False, redirect_stderr=False) as bar:
        yield from bar.track(items, total=total, description=text)


def show_rows(rows: list[tuple[str, str]]) -> None:
    """Print (name, value) pairs in two columns."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        typer.echo(f"{name:{width}}  {value}")


def run_flow(module: str, flow: str, /, **parameters: Any) -> Any:
    """Run a flow in this process, with its log on the terminal. Ctrl-C and signals end it with one line and a code."""
    from pgolf.record.board import show_log

    show_log()
    from pgolf.flows.here import run_here

    try:
        return run_here(module, flow, parameters)
    except (KeyboardInterrupt, SystemExit) as e:
        message = "stopped: all runs are ended, and finished work is kept; start the same command again to go on"
        stderr.print(message, soft_wrap=True)
        raise typer.Exit(int(e.code or 0) if isinstance(e, SystemExit) else 130) from None
