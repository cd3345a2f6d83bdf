"""What a person sees while seeds run: on a terminal one live table, elsewhere a line now and then."""

import logging
import threading
import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from pgolf.record.progress import Progress

log = logging.getLogger(__name__)
console = Console(stderr=True, highlight=False)  # stdout is for results
LINE_EVERY_S = 20.0


class Board:
    """Runs side by side: stage, how far, loss, time so far and time left. Fed by several threads."""

    def __init__(self, labels: list[str], console: Console = console) -> None:
        self.runs: dict[str, Progress | None] = dict.fromkeys(labels)
        self.said: dict[str, tuple[str, float]] = {}  # stage and time of a run's last line
        self.lock = threading.Lock()
        self.live = (
            Live(console=console, get_renderable=self.table, refresh_per_second=2) if console.is_terminal else None
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
            stage, when = self.said.get(label, ("", 0.0))
            if progress.stage != stage or time.monotonic() - when > LINE_EVERY_S:
                self.said[label] = (progress.stage, time.monotonic())
                log.info("%s: %s", label, line(progress, self.finished()))

    def finished(self) -> Progress | None:
        """A run that has come to its end: what the others' time left is told from."""
        return next((p for p in list(self.runs.values()) if p and p.stage == "done"), None)

    def table(self) -> Table:
        """All runs, one a row."""
        table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
        for name in ("", "stage", "", "", "loss", "bpb", "elapsed", "left"):
            table.add_column(name, justify="left" if name in ("", "stage") else "right")
        reference = self.finished()
        for label, p in list(self.runs.items()):
            if p is None:
                table.add_row(label, "[dim]waiting[/dim]")
                continue
            table.add_row(
                label,
                f"[red]{p.stage}[/red]" if p.error else p.stage,
                ProgressBar(total=1.0, completed=p.fraction, width=20),
                f"{p.done}/{p.total}" if p.total > 1 else "",
                f"{p.loss:.4f}" if p.loss is not None else "",
                f"{p.val_bpb:.4f}" if p.val_bpb is not None else "",
                clock(p.elapsed),
                time_left(p, reference),
            )
        return table


def line(p: Progress, reference: Progress | None) -> str:
    """One run in a line of text."""
    parts = [p.stage]
    if p.total > 1:
        parts[0] += f" {p.done}/{p.total}"
    if p.loss is not None:
        parts.append(f"loss {p.loss:.4f}")
    if p.val_bpb is not None:
        parts.append(f"val_bpb {p.val_bpb:.4f}")
    parts.append(clock(p.elapsed))
    if left := time_left(p, reference):
        parts.append(f"{left} left")
    return "  ".join(parts)


def time_left(p: Progress, reference: Progress | None) -> str:
    """'1:20', or '≥ 1:20' where only the current stage is known, or ''."""
    left = p.left(reference)
    if left is None or p.stage == "done":
        return ""
    return clock(left) if reference else f"≥ {clock(left)}"


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{s:02}" if hours else f"{minutes}:{s:02}"
