"""Where commands write: bars, messages and the log of a flow to stderr, rows to stdout.

A table on a terminal fits its width: cells are folded, nothing is cut. In a pipe a row is one line, however long.
"""

import re
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text
from rich.theme import Theme

from pgolf.pace import Point, projected_end
from pgolf.report.columns import Columns, between_words

if TYPE_CHECKING:
    from rich.progress import Task

T = TypeVar("T")
# without colours of its own a bar that runs would be of a red that reads as an error
BARS = Theme({"bar.complete": "cyan", "bar.finished": "green", "bar.pulse": "cyan"})
stderr = Console(stderr=True, highlight=False, theme=BARS)
CELLS = re.compile(r"(?<!\\)\|")
NUMBER = re.compile(r"[-+]?[\d,.]*%?")  # a cell of a report that is a number, or empty
EVERY = 5.0  # seconds between two lines on progress, where there is no terminal


@contextmanager
def progress_bar(text: str, in_stages: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """A bar on a terminal that starts with `text`; each call tells it (what is being done, done, total). Elsewhere
    `Lines`, with an estimate of the time left. `in_stages`: others follow, so that this is not all."""
    if not stderr.is_terminal:
        yield Lines(in_stages=in_stages)
        return
    from rich.progress import Progress, TextColumn

    from pgolf.record.rows import said_left

    class LeftOfStage(TextColumn):
        def render(self, task: "Task") -> Text:
            return Text(said_left(task.time_remaining, "stage"), "cyan")

    columns = Progress.get_default_columns()
    with Progress(
        *(columns[:-1] if in_stages else columns), *[LeftOfStage("")] * in_stages, console=stderr, transient=True
    ) as bar:
        task = bar.add_task(escape(text), total=None)
        yield lambda text, done, total: bar.update(task, description=escape(text), completed=done, total=total or None)


class Lines:
    """Progress as lines on stderr: one when a step begins that cannot be counted, and one every EVERY seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, in_stages: bool = False) -> None:
        self.clock, self.hedge = clock, "at least" if in_stages else "about"
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
        left = "" if end is None else f", {self.hedge} {max(end - now, 0):,.0f} s left"
        counts = f": {done:,} of {total:,}{left}" if total > 1 else ""
        tell(f"{text}{counts}")


def with_bar(items: Iterable[T], text: str, total: int, shown: bool = True) -> Iterator[T]:
    """The items, counted on a terminal by a bar that says when the last one will come."""
    if not (shown and total > 1 and stderr.is_terminal):
        yield from items
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    # without redirection: stdout may be a file, and what is printed must go there
    with Progress(*columns, console=stderr, transient=True, redirect_stdout=False, redirect_stderr=False) as bar:
        yield from bar.track(items, total=total, description=text)


def show_rows(rows: Sequence[tuple[str, str]]) -> None:
    """Print (name, value) pairs in two columns."""
    show_table(rows)


def show_table(
    rows: Sequence[Sequence[str | Text]],
    headings: Sequence[str] = (),
    numbers: Iterable[int] = (),
    headed: bool = False,
) -> None:
    """Print a table; see `Columns`."""
    show_tables(Columns(rows, headings, set(numbers), headed=headed))


def show_tables(*tables: Columns, last: Sequence[str] = ()) -> None:
    """Print tables with an empty line between them, as wide as the terminal, and `last` below them; in a pipe a row is
    one line, and nothing else is printed."""
    screen = Console(highlight=False)
    for number, table in enumerate(tables):
        if number and screen.is_terminal:
            screen.print()
        for line in table.lines(screen.width if screen.is_terminal else None):
            if screen.is_terminal:
                screen.print(line, soft_wrap=True)
            else:
                print(line.plain)  # not by click, which writes UTF-8 where the output is ASCII
    if last and screen.is_terminal:
        screen.print(Text("\n".join(["", *last])))


def show_lines(lines: Iterable[str | Text]) -> None:
    """Print lines, folded between words on a terminal."""
    screen = Console(highlight=False)
    for line in lines:
        if screen.is_terminal:
            tell(line, screen)
        else:
            print(line)  # as in `show_tables`


def tell(message: str | Text, screen: Console = stderr) -> None:
    """Print a message as it is: on a terminal folded between words, and words that are wider whole, so that they can be
    copied; elsewhere in one line."""
    text = message if isinstance(message, Text) else Text(message)
    for line in between_words(text, screen.width) if screen.is_terminal else [text]:
        screen.print(line, soft_wrap=True)


def show_report(text: str) -> None:
    """Print a report of pgolf's own, which is Markdown, for people: tables are tables, code has no marks around it."""
    for is_table, group in groupby(text.splitlines(), lambda line: line.startswith("|")):
        if is_table:
            headings, _, *rows = ([_cell(part) for part in CELLS.split(line)[1:-1]] for line in group)
            numbers = {i for i, _ in enumerate(headings) if all(NUMBER.fullmatch(row[i]) for row in rows)}
            show_table(rows, headings, numbers, headed=True)
            continue
        show_lines(Text(line.lstrip("# ").replace("`", ""), "bold" * line.startswith("#")) for line in group)


def _cell(text: str) -> str:
    return text.strip().replace("\\|", "|").replace("`", "")


def run_flow(module: str, flow: str, /, **parameters: Any) -> Any:
    """Run a flow in this process, with its log on the terminal. Ctrl-C and signals end it with one line and a code."""
    from pgolf.record.board import show_log
    from pgolf.record.orchestrator import Here, as_given

    Here.command = as_given(["pgolf", *sys.argv[1:]])
    show_log()
    from pgolf.flows.here import run_here

    try:
        return run_here(module, flow, parameters)
    except (KeyboardInterrupt, SystemExit) as e:
        message = "stopped: all runs are ended, and finished work is kept; start the same command again to go on"
        tell(message)
        raise typer.Exit(int(e.code or 0) if isinstance(e, SystemExit) else 130) from None


@contextmanager
def ended_by_ctrl_c(ending: str, ended: str) -> Iterator[None]:
    """Say at once what Ctrl-C does, and then that it is done, with exit code 130."""
    from pgolf.record.stopping import interrupting

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, interrupting(ending, tell))
    try:
        yield
    except KeyboardInterrupt:
        tell(ended)
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGINT, before)


def show_verdict(
    stdout: Console,
    positive: bool,
    reasons: Iterable[str],
    warnings: Iterable[str],
    path: Path,
    non_record: bool = False,
) -> None:
    """Print whether it is a record, why not, what to know, and the folder that was written, as a non-record or not."""
    for reason in reasons:
        tell(Text.assemble(("✗", "red"), f" {reason}"), stdout)
    for warning in warnings:
        tell(Text.assemble(("▲", "yellow"), f" {warning}"), stdout)
    otherwise = "[yellow]non-record submission[/yellow]" if non_record else "[red]no record[/red]"
    word = "[green]record[/green]" if positive else otherwise
    stdout.print(f"{word}: {escape(str(path))}", soft_wrap=True)
