"""The view of running seeds: on a terminal one live view, elsewhere a line now and then."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from statistics import mean
from types import TracebackType

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.logging import RichHandler
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pgolf.audit.measures import Measure
from pgolf.ledger import StandingRecord
from pgolf.ledger.choosing import SAME_TOKENS, losses_at
from pgolf.record.progress import Progress
from pgolf.stages import BY_NAME
from pgolf.tracks import Limits

log = logging.getLogger(__name__)
console = Console(stderr=True, highlight=False)  # stdout is for results
LINE_EVERY_S = 20.0
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
    paid for.
    """

    def __init__(
        self,
        labels: list[str],
        console: Console = console,
        standing: StandingRecord | None = None,
        limits: Limits | None = None,
        bytes_per_token: float | None = None,
        cost: Callable[[], float | None] = lambda: None,
    ) -> None:
        self.runs: dict[str, Progress | None] = dict.fromkeys(labels)
        theirs = standing.bytes_per_token if standing else None
        other_tokens = bytes_per_token and theirs and abs(bytes_per_token / theirs - 1) > SAME_TOKENS
        self.standing, self.limits, self.cost = None if other_tokens else standing, limits, cost
        self.said: dict[str, tuple[str, float]] = {}  # stage and time of a run's last line
        self.lock = threading.Lock()
        self.live = (
            Live(console=console, get_renderable=self.view, refresh_per_second=2) if console.is_terminal else None
        )

    def __enter__(self) -> "Board":
        if self.live:
            self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.live:
            self.live.stop()

    def update(self, label: str, progress: Progress) -> None:
        """Show where a run stands, and say so in the log where its stage is new or it is time again."""
        with self.lock:
            self.runs[label] = progress
            stage, when = self.said.setdefault(label, ("starting", time.monotonic()))
            if progress.stage != stage or time.monotonic() - when > LINE_EVERY_S:
                self.said[label] = (progress.stage, time.monotonic())
                log.info("%s: %s", label, self.line(label, progress))

    def finished(self, label: str) -> Progress | None:
        """A run of the same kind that has come to its end: what `label`'s time left is told from."""
        kind = label.rsplit(" ", 1)[0]
        return next((p for k, p in list(self.runs.items()) if p and p.stage == "done" and k.startswith(kind)), None)

    def share(self, label: str, progress: Progress) -> float:
        """How much of a run is behind it, in [0, 1], as far as can be told."""
        left = progress.left(self.finished(label))
        return progress.elapsed / (progress.elapsed + left) if left is not None and progress.elapsed else 0.0

    def line(self, label: str, progress: Progress) -> str:
        """Where a run stands in a line of text."""
        left, gap = time_left(progress, self.finished(label)), self.against(progress)
        words = [progress.stage + (f" {progress.done}/{progress.total}" if progress.total > 1 else "")]
        words += [f"loss {progress.loss:.4f}"] if progress.loss is not None else []
        words += [f"({signed(gap)} against {self.standing.name})"] if self.standing and gap is not None else []
        words += [f"val_bpb {progress.val_bpb:.4f}"] if progress.val_bpb is not None else []
        words += [f"error: {progress.error}"] if progress.error else []
        words += [clock(progress.elapsed), f"({left} left)" if left else ""]
        return "  ".join(word for word in words if word)

    def against(self, progress: Progress) -> float | None:
        """How far the loss is from the standing record's at the same step (negative: better); None if unknown."""
        if self.standing is None or progress.step is None or progress.loss is None:
            return None
        theirs = losses_at(self.standing, progress.step)
        return progress.loss - mean(theirs) if theirs else None

    def view(self) -> RenderableType:
        """All runs, and what they cost."""
        panels = [self.panel(label, progress) for label, progress in list(self.runs.items())]
        cost, name = self.cost(), self.standing.name if self.standing else None
        notes = [f"beside a loss: its distance from that of {name} at the same step"] if name else []
        notes += [f"${cost:,.2f} spent so far"] if cost is not None else []
        return Group(Columns(panels, padding=(0, 1, 0, 0)), Text("; ".join(notes), "dim"))

    def panel(self, label: str, p: Progress | None) -> Panel:
        """One run."""
        if p is None:
            return Panel(Text("waiting", "dim"), title=label, title_align="left", width=PANEL, border_style="dim")
        table = Table.grid(padding=(0, 1))
        for row in self.rows(p):
            table.add_row(*row)
        left = time_left(p, self.finished(label))
        time = clock(p.elapsed) + (f", {left} left" if left else "")
        color = "red" if p.error else "green" if p.stage == "done" else "none"
        return Panel(table, title=label, title_align="left", subtitle=time, width=PANEL, border_style=color)

    def rows(self, p: Progress) -> Iterator[tuple[RenderableType, ...]]:
        """Name, bar and figure of each line of a run."""
        of = f"{p.done}/{p.total}" if p.total > 1 else ""
        words = BY_NAME[p.stage].title if p.stage in BY_NAME else p.stage
        yield Text(words[:12], "red" if p.error else "bold"), ProgressBar(1.0, p.fraction, width=BAR), Text(of)
        if p.loss is not None:
            gap = self.against(p)
            beside = Text("") if gap is None else Text(signed(gap), "green" if gap < 0 else "yellow")
            yield Text("loss", "dim"), Text(f"{p.loss:.4f}"), beside
        if p.val_bpb is not None:
            yield Text("val_bpb", "dim"), Text(f"{p.val_bpb:.5f}"), Text()
        if self.limits:
            for name, measure in zip(("size", "train", "eval"), p.measures(self.limits), strict=True):
                yield budget(name, measure)


def signed(difference: float) -> str:
    """A difference of losses with its sign."""
    return f"{difference:+.4f}".replace("-", "−")


def budget(name: str, used: Measure) -> tuple[RenderableType, ...]:
    """A line with how much of a limit is used, yellow inside the grace, red beyond it; empty where nothing is known."""
    if used.value is None:
        return Text(name, "dim"), Text("–", "dim"), Text()
    bar_style, style = {"fail": ("red", "red"), "warn": ("yellow", "yellow")}.get(used.status, ("cyan", "none"))
    bar = ProgressBar(used.limit, min(used.value, used.limit), width=BAR, complete_style=bar_style)
    megabytes = f"{used.value / 1e6:.3f} of {used.limit / 1e6:.3f} MB"
    text = megabytes if used.unit == "bytes" else f"{used.value:.0f} of {used.limit:.0f} s"
    return Text(name, "dim"), bar, Text(text, style)


def time_left(p: Progress, reference: Progress | None) -> str:
    """'1:20', or '≥ 1:20' where only the current stage is known, or ''."""
    left = p.left(reference)
    if left is None or left < 1:
        return ""
    return clock(left) if reference else f"≥ {clock(left)}"


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{s:02}" if hours else f"{minutes}:{s:02}"
