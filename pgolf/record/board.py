"""The view of running seeds: on a terminal one live view, elsewhere a line now and then."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import mean
from types import TracebackType

from rich.columns import Columns
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.logging import RichHandler
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pgolf.ledger import StandingRecord
from pgolf.ledger.choosing import SAME_TOKENS, losses_at
from pgolf.phrases import signed
from pgolf.record.heading import Heading, heading_of, scored
from pgolf.record.progress import Progress
from pgolf.record.rows import Row, Used, amount, counts, kind_of, thinned, titles, used_of
from pgolf.record.time_left import Course, course_of, mean_course, most_left, time_left, whole_left
from pgolf.stages import BY_NAME
from pgolf.tracks import NO_LIMITS, Limits

log = logging.getLogger(__name__)
console = Console(stderr=True, highlight=False)  # stdout is for results
LINE_EVERY_S = 20.0
USED = "size", "train", "eval"  # the limits, in the order of `Progress.measures`
PANEL, BAR = 39, 7  # columns of a run, and of a bar in it: three fit into 120, two into 80


def show_log() -> None:
    """Print what pgolf logs: above the board on a terminal, where the board itself tells of running seeds."""
    handler: logging.Handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    if console.is_terminal:
        handler = RichHandler(console=console, show_level=False, show_path=False, log_time_format="%H:%M:%S")
        handler.addFilter(lambda record: record.name != __name__)
    logger = logging.getLogger("pgolf")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # a root handler would print it a second time


class Board:
    """Runs side by side: stage, how far, loss beside the standing record's, budgets, time left. Fed by several threads.

    `standing` and `limits` are what to compare with, where they are known, unless `bytes_per_token` of the text here
    say that a loss per token is something else there; `cost` tells the dollars spent so far, None where nothing is
    paid for; `tell` is called with rows and notes at each change; `earlier` has the course of a run by kind ('seed'),
    as earlier records tell of it; `losses_compare` whether training losses show what a run is heading for; `before` has
    the rows of runs that were done before, which are shown so and not as waiting; `remarks` are told below all runs;
    `kind` says of a label which runs go alike.
    """

    def __init__(
        self,
        labels: list[str],
        console: Console = console,
        standing: StandingRecord | None = None,
        limits: Limits | None = None,
        bytes_per_token: float | None = None,
        cost: Callable[[], float | None] = lambda: None,
        tell: Callable[[Sequence[Row], Sequence[str]], None] | None = None,
        earlier: Mapping[str, Course] | None = None,
        losses_compare: bool = False,
        before: Mapping[str, Row] | None = None,
        remarks: Sequence[str] = (),
        kind: Callable[[str], str] = kind_of,
    ) -> None:
        self.runs: dict[str, Progress | None] = dict.fromkeys(labels)
        theirs = standing.bytes_per_token if standing else None
        other_tokens = bytes_per_token and theirs and abs(bytes_per_token / theirs - 1) > SAME_TOKENS
        self.standing, self.limits, self.cost = None if other_tokens else standing, limits, cost
        self.tell, self.earlier, self.kind = tell, earlier or {}, kind
        self.before = {label: replace(row, reused=True) for label, row in (before or {}).items()}
        self.to_beat, self.losses_compare, self.remarks = standing, losses_compare, remarks
        self.headings: dict[str, tuple[tuple[int, int, str], Heading | None]] = {}  # and what each was made of
        self.ended: dict[str, Course] = {}
        self.said: dict[str, tuple[str, float]] = {}  # stage and time of a run's last line
        self.lock = threading.Lock()
        self.live = (
            Live(console=console, get_renderable=self.view, refresh_per_second=2) if console.is_terminal else None
        )

    def __enter__(self) -> "Board":
        if self.live:
            self.live.start()
        if self.before and self.tell:  # no run may be left to tell of
            self.tell(self.rows(), self.notes())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.live:
            self.live.stop()

    def update(self, label: str, progress: Progress) -> None:
        """Show where a run stands, and say so in the log where its stage is new or it is time again."""
        with self.lock:
            self.runs[label] = progress
            if course := course_of(progress):
                self.ended[label] = course
            stage, when = self.said.setdefault(label, ("starting", time.monotonic()))
            if progress.stage != stage or time.monotonic() - when > LINE_EVERY_S:
                self.said[label] = (progress.stage, time.monotonic())
                log.info("%s: %s", label, self.line(label, progress))
            if self.tell:
                self.tell(self.rows(), self.notes())

    def settle(self, label: str, row: Row) -> None:
        """Show a run as it has ended, whatever it has said last."""
        with self.lock:
            self.runs[label], self.before[label] = None, row
            if self.tell:
                self.tell(self.rows(), self.notes())

    def course(self, label: str) -> Course | None:
        """How a run of `label`'s kind goes: those that have ended here, else those of earlier records."""
        kind = self.kind(label)
        ended = [course for other, course in list(self.ended.items()) if self.kind(other) == kind]
        return mean_course(ended) or self.earlier.get(kind)

    def share(self, label: str, progress: Progress) -> float:
        """How much of a run is behind it, in [0, 1], as far as can be told."""
        left = time_left(progress, self.course(label))
        most = left.seconds if left and left.basis == "runs" else most_left(progress, self.limits or NO_LIMITS)
        return 0.0 if most is None or not progress.elapsed else progress.elapsed / (progress.elapsed + most)

    def line(self, label: str, progress: Progress) -> str:
        """Where a run stands in a line of text."""
        row = self.row(label, progress)
        words = [row.stage + (f" {row.done}/{row.total}" if row.total > 1 else "")]
        words += [f"loss {row.loss:.4f}"] if row.loss is not None else []
        if self.standing and row.gain is not None:
            words.append(f"(gain over {self.standing.name} {signed(row.gain, 4)})")
        words += [f"val_bpb {row.val_bpb:.4f}"] if row.val_bpb is not None else []
        words += [f"error: {row.error}"] if row.error else []
        return "  ".join([*words, row.time])

    def against(self, progress: Progress) -> float | None:
        """The gain over the standing record's loss at the same step (above zero: better); None if unknown."""
        if self.standing is None or progress.step is None or progress.loss is None:
            return None
        theirs = losses_at(self.standing, progress.step)
        return mean(theirs) - progress.loss if theirs else None

    def row(self, label: str, p: Progress | None) -> Row:
        """One run as plain data."""
        if p is None and label in self.before:
            return self.before[label]
        left = time_left(p or Progress(), self.course(label))
        if p is None:
            return Row(label, left=left.seconds, basis=left.basis) if left else Row(label)
        heading = self.heading(label, p)
        return Row(
            label=label,
            stage=p.stage,
            done=p.done,
            total=p.total,
            share=p.fraction,
            loss=p.loss,
            gain=self.against(p),
            val_bpb=p.val_bpb,
            error=p.error,
            elapsed=p.elapsed,
            left=left.seconds if left else None,
            basis=left.basis if left else "stage",
            over=bool(left and left.over),
            used=tuple(map(used_of, USED, p.measures(self.limits))) if self.limits else (),
            scores=tuple(scored(stage, bpb, self.to_beat) for stage, bpb in p.scores.items()),
            heading=heading.val_bpb if heading else None,
            rests_on=heading.basis if heading else None,
            curve=thinned(p.curve),
        )

    def heading(self, label: str, p: Progress) -> Heading | None:
        """What a run is heading for, computed anew when it has logged more."""
        state = len(p.curve), len(p.scores), p.stage
        if self.headings.get(label, (None, None))[0] != state:
            self.headings[label] = state, heading_of(p, self.to_beat, self.losses_compare)
        return self.headings[label][1]

    def rows(self) -> list[Row]:
        """All runs as plain data, in their order."""
        return [self.row(label, progress) for label, progress in list(self.runs.items())]

    def notes(self) -> list[str]:
        """What is told below the runs: what a loss is compared with, the cost."""
        cost, name = self.cost(), self.standing.name if self.standing else None
        notes = [f"beside a loss: its gain over {name} at the same step"] if name else []
        notes += self.remarks
        return notes + ([f"${cost:,.2f} spent so far"] if cost is not None else [])

    def view(self) -> RenderableType:
        """All runs, and what they cost."""
        return draw(self.rows(), self.notes())


def draw(rows: Sequence[Row], notes: Sequence[str] = ()) -> RenderableType:
    """Runs side by side, as many as the screen is wide for, and below them when all are done, and the notes."""
    return _Drawn(list(rows), notes)


class _Drawn:
    """Runs side by side. Of more than a terminal has room for, those that run are shown, then the next ones, and all
    are counted in the line below."""

    def __init__(self, rows: Sequence[Row], notes: Sequence[str]) -> None:
        self.rows, self.notes = rows, notes

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        left = whole_left(self.rows) if len(self.rows) > 1 else None
        words = [*([f"all runs: {left.words}"] if left and left.words else []), *self.notes]
        below = Text("; ".join(words), "dim")
        named = list(zip(self.rows, titles([row.label for row in self.rows], PANEL - 6), strict=True))  # less a border
        high, wide = options.size.height, options.max_width
        if console.is_terminal and _height(self.rows, wide) + len(below.wrap(console, wide)) > high:
            below = Text("; ".join([counts(self.rows), *words]), "dim")
            room = high - len(below.wrap(console, wide))
            shown = _that_fit(self.rows, wide, room)
            named = [named[at] for at in shown]
        yield Columns([_panel(row, title) for row, title in named], padding=(0, 1, 0, 0))
        yield below


def _that_fit(rows: Sequence[Row], wide: int, high: int) -> list[int]:
    """Which runs are shown where not all have room, in their order: those that run, the next ones, the last ones."""
    first = {"running": 0, "waiting": 1, "failed": 2, "done": 2}
    found: list[int] = []
    for at in sorted(range(len(rows)), key=lambda at: (rank := first[rows[at].state], -at if rank == 2 else at)):
        more = sorted([*found, at])
        if _height([rows[i] for i in more], wide) > high:
            break
        found = more
    return found


def _height(rows: Sequence[Row], wide: int) -> int:
    """Lines that runs take on a screen that is so wide."""
    beside = max(1, (wide + 1) // (PANEL + 1))
    lines = [2 + (1 if row.state == "waiting" else len(list(_lines(row)))) for row in rows]
    return sum(max(lines[at : at + beside]) for at in range(0, len(lines), beside))


def _panel(row: Row, title: str) -> Panel:
    """One run."""
    if row.state == "waiting":
        return Panel(Text("waiting", "dim"), title=Text(title), title_align="left", width=PANEL, border_style="dim")
    table = Table.grid(padding=(0, 1))
    for line in _lines(row):
        table.add_row(*line)
    color = {"failed": "red", "done": "green"}.get(row.state, "none")
    return Panel(table, title=Text(title), title_align="left", subtitle=row.time, width=PANEL, border_style=color)


def _lines(row: Row) -> Iterator[tuple[RenderableType, ...]]:
    """Name, bar and figure of each line of a run."""
    of = f"{row.done}/{row.total}" if row.total > 1 else ""
    words = BY_NAME[row.stage].title if row.stage in BY_NAME else row.stage
    yield Text(words[:12], "red" if row.error else "bold"), _bar(row.share, 1.0), Text(of)
    if row.loss is not None:
        beside = Text("") if row.gain is None else Text(signed(row.gain, 4), "green" if row.gain > 0 else "yellow")
        yield Text("loss", "dim"), Text(f"{row.loss:.4f}"), beside
    if row.val_bpb is not None:
        yield Text("val_bpb", "dim"), Text(f"{row.val_bpb:.5f}"), Text()
    for used in row.used:
        yield _budget(used)


def _bar(done: float, total: float, style: str = "cyan") -> ProgressBar:
    return ProgressBar(total, min(done, total), width=BAR, complete_style=style, finished_style=style)


def _budget(used: Used) -> tuple[RenderableType, ...]:
    """A line with how much of a limit is used, yellow inside the grace, red beyond it; a dash where that is unknown."""
    name = Text(used.name, "dim")
    if used.value is None:
        return name, Text("–", "dim"), Text()
    if used.limit is None:
        return name, Text(), Text(amount(used))
    bar, style = {"fail": ("red", "red"), "warn": ("yellow", "yellow")}.get(used.status, ("cyan", "none"))
    return name, _bar(used.value, used.limit, bar), Text(amount(used), style)
