"""Where commands write: bars, messages and the log of a flow to stderr, rows to stdout.

A table on a terminal fits its width: cells are folded, nothing is cut. In a pipe a row is one line, however long.
"""

import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from pgolf.pace import Point, projected_end

T = TypeVar("T")
GAP = "  "  # between two columns
LEAST = 24  # characters that a column is folded to
stderr = Console(stderr=True, highlight=False)
CELLS = re.compile(r"(?<!\\)\|")
NUMBER = re.compile(r"[-+]?[\d,.]*%?")  # a cell of a report that is a number, or empty
EVERY = 5.0  # seconds between two lines on progress, where there is no terminal


@contextmanager
def progress_bar(text: str) -> Iterator[Callable[[str, int, int], None]]:
    """A bar on a terminal that starts with `text`; each call tells it (what is being done, done, total). Elsewhere
    `Lines`, with an estimate of the time left."""
    if not stderr.is_terminal:
        yield Lines()
        return
    from rich.progress import Progress

    with Progress(console=stderr, transient=True) as bar:
        task = bar.add_task(text, total=None)
        yield lambda text, done, total: bar.update(task, description=text, completed=done, total=total)


class Lines:
    """Progress as lines on stderr: one when a step begins that cannot be counted, and one every EVERY seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.text = ""
        self.began: Point = (clock(), 0.0)
        self.said = clock()

    def __call__(self, text: str, done: int, total: int) -> None:
        now = self.clock()
        new, self.text = text != self.text, text
        if new:
            self.began = now, float(done)
        if not (new and total <= 1) and now - self.said < EVERY:
            return
        self.said = now
        end = projected_end(self.began, (now, float(done)), float(total))
        left = "" if end is None else f", about {max(end - now, 0):,.0f} s left"
        counts = f": {done:,} of {total:,}{left}" if total > 1 else ""
        stderr.print(f"{text}{counts}", markup=False, soft_wrap=True)


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


def show_table(rows: Sequence[Sequence[str | Text]], headings: Sequence[str] = (), numbers: Iterable[int] = ()) -> None:
    """Print a table; text is shown as it is, without markup.

    On a terminal the last column is folded where it does not fit; where that would leave it few characters, the cells
    of a row follow one another on as many lines as they take. In a pipe the headings are left out.

    Parameters
    ----------
    rows : the cells of each row, the most important first.
    headings : one a column.
    numbers : columns of numbers, which end below one another.
    """
    screen, right = Console(highlight=False), set(numbers)
    cells = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
    if screen.is_terminal and headings:
        cells.insert(0, [Text(heading, "bold") for heading in headings])
    widths = [max(cell.cell_len for cell in column) for column in zip_longest(*cells, fillvalue=Text())]
    room = screen.width - sum(widths[:-1]) - len(GAP) * (len(widths) - 1)
    fits = room >= min([LEAST, *widths[-1:]])
    for row in cells:
        if not screen.is_terminal:
            typer.echo(_padded(row, widths, right).plain.rstrip())
            continue
        for line in _folded(row, widths, right, screen, room) if fits else _filled(row, screen):
            line.rstrip()
            screen.print(line, soft_wrap=True)


def _padded(row: Sequence[Text], widths: Sequence[int], right: Collection[int]) -> Text:
    padded = []
    for i, cell in enumerate(row):
        space = " " * (widths[i] - cell.cell_len)
        padded.append(Text.assemble(space, cell) if i in right else Text.assemble(cell, space))
    return Text(GAP).join(padded)


def _folded(
    row: Sequence[Text], widths: Sequence[int], right: Collection[int], screen: Console, room: int
) -> Iterator[Text]:
    """A row whose last cell is folded into `room` columns."""
    *first, last = row
    for i, part in enumerate(last.wrap(screen, room, overflow="fold") or [Text()]):
        beside = first if i == 0 else [Text()] * len(first)
        part.rstrip()
        yield _padded([*beside, part], [*widths[:-1], min(widths[-1], room)], right)


def _filled(row: Sequence[Text], screen: Console) -> Iterator[Text]:
    """The cells of a row one after the other, on lines of the screen's width; all but the first line are indented."""
    line = Text()
    for cell in filter(None, row):
        if line.plain and line.cell_len + len(GAP) + cell.cell_len <= screen.width:
            line = Text(GAP).join([line, cell])
            continue
        if line.plain:
            yield line
        indent = "    " if line.plain else ""
        *full, line = cell.wrap(screen, screen.width - len(indent), overflow="fold") or [Text()]
        yield from (Text.assemble(indent, part) for part in full)
        line = Text.assemble(indent, line)
    yield line


def show_report(text: str) -> None:
    """Print a report of pgolf's own, which is Markdown, for people: tables are tables, code has no marks around it."""
    for is_table, group in groupby(text.splitlines(), lambda line: line.startswith("|")):
        if is_table:
            headings, _, *rows = ([_cell(part) for part in CELLS.split(line)[1:-1]] for line in group)
            numbers = {i for i, _ in enumerate(headings) if all(NUMBER.fullmatch(row[i]) for row in rows)}
            show_table(rows if Console().is_terminal else [headings, *rows], headings, numbers)
            continue
        for line in group:
            typer.secho(line.lstrip("# ").replace("`", ""), bold=line.startswith("#") or None)


def _cell(text: str) -> str:
    return text.strip().replace("\\|", "|").replace("`", "")


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


def show_verdict(stdout: Console, positive: bool, reasons: Iterable[str], warnings: Iterable[str], path: Path) -> None:
    """Print whether it is a record, why not, what to know, and the folder that was written."""
    for reason in reasons:
        stdout.print(f"[red]✗[/red] {escape(reason)}", soft_wrap=True)
    for warning in warnings:
        stdout.print(f"[yellow]▲[/yellow] {escape(warning)}", soft_wrap=True)
    word = "[green]record[/green]" if positive else "[red]no record[/red]"
    stdout.print(f"{word}: {escape(str(path))}", soft_wrap=True)
