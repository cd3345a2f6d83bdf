"""What a person sees while seeds run: on a terminal one live table, elsewhere a line now and then."""

import logging
import threading
import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.logging import RichHandler
from rich.progress_bar import ProgressBar
from rich.table import Table

from pgolf.record.progress import Progress

log = logging.getLogger(__name__)
console = Console(stderr=True, highlight=False)  # stdout is for results
LINE_EVERY_S = 20.0


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
        left = time_left(progress, self.finished(label))
        words = [progress.stage + (f" {progress.done}/{progress.total}" if progress.total > 1 else "")]
        words += [f"loss {progress.loss:.4f}"] if progress.loss is not None else []
        words += [f"val_bpb {progress.val_bpb:.4f}"] if progress.val_bpb is not None else []
        words += [clock(progress.elapsed), f"({left} left)" if left else ""]
        return "  ".join(word for word in words if word)

    def table(self) -> Table:
        """All runs, one a row."""
        table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
        for name in ("", "stage", "", "", "loss", "bpb", "elapsed", "left"):
            table.add_column(name, justify="left" if name in ("", "stage") else "right")
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
                time_left(p, self.finished(label)),
            )
        return table


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
