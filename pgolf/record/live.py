"""How a record goes, in its folder: `runs/<record-id>/live.json`, rewritten every two seconds while somebody is at it.

The process that makes the record writes it. Everybody else reads it: `pgolf watch` and `pgolf status`, from another
terminal, and `live.html`.
"""

import logging
import math
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from statistics import mean
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from pgolf.files import write_atomic, write_json
from pgolf.ledger import StandingRecord
from pgolf.ledger.choosing import losses_at
from pgolf.record.rows import Curve, Row, kind_of, thinned
from pgolf.record.time_left import whole_left
from pgolf.untrusted import Untrusted, read_json

log = logging.getLogger(__name__)
LIVE = "live.json"
PROBES = "probes"  # what a record is at while its first artifact is probed
EVERY_S = 2.0  # between two writes
BEAT_S = 15.0  # the longest time without one
MOST_BYTES, MOST_ROWS, MOST_TEXT, MOST_NEWS = 1 << 20, 1000, 2000, 40

State = Literal["running", "finished", "failed", "stopped", "left"]
Text = Annotated[str, Field(max_length=MOST_TEXT)]
Seconds = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class Said:
    """A line of news, and when it was told, as ISO 8601 in UTC."""

    at: Text
    text: Text


@dataclass(frozen=True)
class Live:
    """How a record goes.

    Attributes
    ----------
    record_id, track, name : the folder in `runs`, the rules, the submission's name.
    started, updated : when this process began with it, and wrote this, as ISO 8601 in UTC.
    state : `left`: its runs go on, and nobody is at it; `stopped`: nothing of it runs, and the same command goes on.
    doing : what the record itself is at, in a few words: "preflight", "seeds", "probes", "verdict".
    rows : its runs, in the plan's order; empty before they begin.
    left : seconds until the last of these runs ends, and the probes after it; None: unknown.
    notes : what is told below the rows: what a loss is compared with, the cost of rented pods.
    standing, standing_curve : the record that losses are compared with, and its seeds' mean (step, loss).
    news : what a chat is told of it, the last MOST_NEWS lines.
    verdict : the line of the verdict, or why there is none; None while it is not known.
    """

    record_id: Text
    track: Text
    name: Text
    started: Text
    updated: Text
    state: State = "running"
    doing: Text = ""
    rows: Annotated[tuple[Row, ...], Field(max_length=MOST_ROWS)] = ()
    left: Seconds | None = None
    notes: tuple[Text, ...] = ()
    standing: Text | None = None
    standing_curve: Curve = ()
    news: Annotated[tuple[Said, ...], Field(max_length=MOST_NEWS)] = ()
    verdict: Text | None = None


READER = TypeAdapter(Live)


class LiveFile:
    """Keeps a record's live.json and its page: rewritten every EVERY_S while its runs go on, and at once when
    something begins.

    Several threads may use it. A file that cannot be written harms no run.
    """

    def __init__(self, folder: Path, record_id: str, track: str, name: str) -> None:
        self.folder = folder
        before = read_live(folder)
        self.done_before = {row.label: row for row in before.rows if row.state == "done"} if before else {}
        self.live = Live(record_id, track, name, started=now(), updated=now())
        self.probes: float | None = (
            None  # seconds that they are going to take; None: none are to come, or it is unknown
        )
        self.probes_began: float | None = None
        self.written = -EVERY_S
        self.unwritten = False  # whether the last write has failed, which is told once
        self.lock = threading.Lock()

    def show(self, doing: str) -> None:
        """Say what the record itself is at."""
        with self.lock:
            self._write(doing=doing, left=self._left(self.live.rows))

    @contextmanager
    def probing(self) -> Iterator[None]:
        """Say that the first artifact is probed while this lasts, and how long it will take."""
        before, self.probes_began = self.live.doing, time.monotonic()
        self.show(PROBES)
        try:
            yield
        finally:
            self.probes = None
            self.show(before)

    def _left(self, rows: Sequence[Row]) -> float | None:
        """Seconds until the last of these runs ends, and the probes, which begin with the end of the first one that is
        no baseline; None: unknown, or there is nothing."""
        whole = whole_left(rows) if rows else None
        if whole is None or self.probes is None:
            return whole.seconds if whole else None
        if self.probes_began is not None:
            return max(whole.seconds, self.probes_began + self.probes - time.monotonic(), 0.0)
        first = min(row.left or 0.0 for row in rows if kind_of(row.label) == kind_of(rows[-1].label))
        return max(whole.seconds, first + self.probes)

    def done_of(self, labels: Collection[str]) -> dict[str, Row]:
        """The rows, by label, of those of these runs that an earlier process has brought to their end."""
        return {label: row for label, row in self.done_before.items() if label in labels}

    def runs(self, rows: Sequence[Row], notes: Sequence[str] = ()) -> None:
        """Show the runs, unless they were shown a moment ago; of very many those that run, and the first ones."""
        shown = rows
        if len(rows) > MOST_ROWS:
            going = [row.state == "running" for row in rows]
            places = MOST_ROWS - sum(going)
            shown = [
                row
                for row, runs, others in zip(rows, going, accumulate(not g for g in going), strict=True)
                if runs or others <= places
            ]
            notes = [*notes, f"and {len(rows) - len(shown):,} more runs"]
        with self.lock:
            same = [row.stage for row in shown] == [row.stage for row in self.live.rows]
            if not same or time.monotonic() - self.written >= EVERY_S:
                self._write(rows=tuple(shown), notes=tuple(notes), left=self._left(rows))

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Write it every BEAT_S at least while this lasts, so that one can tell a long step from a process that is
        gone."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(BEAT_S):
                with self.lock:
                    if self.live.state == "running" and time.monotonic() - self.written >= BEAT_S:
                        self._write(left=self._left(self.live.rows))

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def beside(self, standing: StandingRecord | None) -> None:
        """Show the training losses of the record that others are compared with; the next write has them."""
        steps = sorted({step for seed in standing.seeds for step, _ in seed.curve}) if standing else []
        curve = [(step, mean(losses)) for step in steps if standing and (losses := losses_at(standing, step))]
        with self.lock:
            self.live = replace(self.live, standing=standing.name if standing else None, standing_curve=thinned(curve))

    def say(self, text: str) -> None:
        """Add lines of news; the next write has them."""
        with self.lock:
            lines = [Said(now(), line) for line in text.splitlines()]
            self.live = replace(self.live, news=(*self.live.news, *lines)[-MOST_NEWS:])

    def end(self, state: State, verdict: str) -> None:
        """Say how the record has ended: its verdict, or why there is none."""
        with self.lock:
            self._write(state=state, verdict=verdict, doing="", left=None)

    def _write(self, **changed: Any) -> None:
        self.live = replace(self.live, **changed, updated=now())
        try:
            why = write_live(self.folder, self.live)
        except OSError as e:
            why = f"{LIVE} and its page are not written: {e.strerror or e}"
        if why and not self.unwritten:
            log.warning("%s; the record goes on without", why)
        elif self.unwritten and not why:
            log.info("%s and its page are written again", LIVE)
        self.unwritten = bool(why)
        self.written = time.monotonic()


def now() -> str:
    """The time, as ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_live(folder: Path, live: Live) -> str:
    """Replace a record's live.json by this, and its page; return why there is no page, or ''.

    Numbers that are not finite become unknown, and long texts are cut. OSError where live.json cannot be written.
    """
    from pgolf.record.live_page import PAGE, live_page  # it is made of what is defined here

    write_json(folder / LIVE, _plain(asdict(live)))
    try:
        page = live_page(live, folder)
    except Exception as e:  # whatever a program has written into its log: its run does not fail for a page
        return f"{PAGE} cannot be drawn: {e!r}"
    try:
        write_atomic(folder / PAGE, page)
    except OSError as e:
        return f"{PAGE} is not written: {e.strerror or e}"
    return ""


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value[:MOST_TEXT] if isinstance(value, str) else value


def made_printable(value: Any) -> Any:
    """A value of JSON whose texts move no terminal's cursor."""
    if isinstance(value, dict):
        return {key: made_printable(part) for key, part in value.items()}
    if isinstance(value, list):
        return [made_printable(part) for part in value]
    if isinstance(value, str) and not value.isprintable():
        return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in value)
    return value


def read_live(folder: Path) -> Live | None:
    """What a record's live.json says; None if there is none, or it is not what pgolf writes."""
    try:
        return READER.validate_python(made_printable(read_json(folder / LIVE, MOST_BYTES, folder)))
    except (Untrusted, ValidationError):
        return None
