"""Where commands write: bars and messages to stderr, rows to stdout."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

stderr = Console(stderr=True, highlight=False)


@contextmanager
def progress_bar(text: str) -> Iterator[Callable[[str, int, int], None]]:
    """A bar on a terminal that starts with `text`; each call tells it (what is being done, done, total)."""
    from rich.progress import Progress

    with Progress(console=stderr, transient=True) as bar:
        task = bar.add_task(text, total=None)
        yield lambda text, done, total: bar.update(task, description=text, completed=done, total=total)


def show_rows(rows: list[tuple[str, str]]) -> None:
    """Print (name, value) pairs in two columns."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        typer.echo(f"{name:{width}}  {value}")
