"""`runs/<record-id>/live.html`: how a record goes, on a page that any static server can show to a phone.

It is drawn from live.json alone, in milliseconds, and loads nothing but itself.
"""

import base64
import hashlib
import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from statistics import mean
from urllib.parse import quote

from pgolf import __version__
from pgolf.phrases import signed
from pgolf.record.live import Live
from pgolf.record.rows import Row, amount, said_left
from pgolf.record.time_left import whole_left
from pgolf.report.render import render
from pgolf.stages import BY_NAME

PAGE = "live.html"
COLORS = 6  # of seeds, in the page's style
SETTLED = 0.1  # share of a run's steps after which its losses bound a chart above: the first would flatten the rest
LIGHTS = {"running": "pass", "finished": "pass", "failed": "fail", "stopped": "warn", "left": "warn"}
REPORTS = ("records/*/*", "report")  # folders in a record's that hold one

Curve = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Line:
    """A curve of the chart: its name, the CSS colour, and its points as SVG takes them, in a square of 1000."""

    name: str
    color: str
    points: str


@dataclass(frozen=True)
class Chart:
    """Training losses over steps: `least` to `most` nats per token, up to step `last`."""

    lines: tuple[Line, ...]
    least: float
    most: float
    last: int


def live_page(live: Live, folder: Path) -> str:
    """The page of a record; `folder` is where the page will lie, whose report it links to."""
    script, digest = _script()
    ended = live.state not in ("running", "left")
    if ended:  # a run that was in its midst has no time left
        live = replace(live, left=None, rows=tuple(replace(row, left=None, over=False) for row in live.rows))
    whole = whole_left(live.rows) if live.left is not None else None
    running = [row for row in live.rows if row.state == "running" and live.state == "running"]
    return render(
        "live.html.j2",
        live=live,
        ended=ended,
        light=LIGHTS[live.state],
        started=clock_time(live.started),
        updated=clock_time(live.updated),
        left=said_left(live.left, over=bool(whole and whole.over)),
        done=sum(row.state == "done" for row in live.rows),
        scores=[row.val_bpb for row in live.rows if row.state == "done" and row.val_bpb is not None],
        headings=[row.heading for row in running if row.heading is not None],
        chart=chart_of(live),
        colors=colors_of(live.rows),
        reports=reports_in(folder),
        script=script,
        digest=digest,
        version=__version__,
        clock_time=clock_time,
        mean=mean,
        signed=signed,
        stage_words=stage_words,
        amount=amount,
        percent=percent,
    )


def clock_time(iso: str) -> str:
    """The time of day in UTC, as '22:51:03 UTC'; the text itself where it is no time."""
    try:
        return datetime.fromisoformat(iso).astimezone(UTC).strftime("%H:%M:%S UTC")
    except (ValueError, OverflowError):
        return iso


def stage_words(row: Row) -> str:
    """What a run is doing, for people."""
    return BY_NAME[row.stage].label if row.stage in BY_NAME else row.stage


def percent(value: float | None, of: float | None) -> str:
    """How much of something, from 0 to 100; 0 where that is unknown.

    Examples
    --------
    >>> percent(0.25, 1.0), percent(7.0, 5.0), percent(None, 5.0)
    ('25.0', '100.0', '0.0')
    """
    part = value / of if value and of else 0.0
    return f"{100 * min(1.0, max(0.0, part)):.1f}" if math.isfinite(part) else "0.0"


def colors_of(rows: tuple[Row, ...]) -> dict[str, str]:
    """The CSS colour of each run, by its label."""
    return {row.label: f"var(--seed-{i % COLORS})" for i, row in enumerate(rows)}


def chart_of(live: Live) -> Chart | None:
    """The training curves so far, the standing record's behind; None while nothing can be drawn."""
    colors = colors_of(live.rows)
    curves = [(row.label, colors[row.label], row.curve) for row in live.rows if len(row.curve) > 1]
    if not curves:
        return None
    if len(live.standing_curve) > 1:
        curves.insert(0, (live.standing or "the standing record", "var(--old)", live.standing_curve))
    last = max(max(1, curve[-1][0]) for _, _, curve in curves)
    heights = [loss for _, _, curve in curves for step, loss in curve if step >= SETTLED * curve[-1][0]]
    every = [loss for _, _, curve in curves for _, loss in curve]
    least, most = min(every), max(heights or every)
    lines = tuple(Line(name, color, _points(curve, last, least, most)) for name, color, curve in curves)
    return Chart(lines, least, most, last)


def _points(curve: Curve, last: int, least: float, most: float) -> str:
    height = (most - least) or 1.0
    return " ".join(
        f"{1000 * step / last:.0f},{1000 * (most - min(loss, most + height)) / height:.0f}" for step, loss in curve
    )


def reports_in(folder: Path) -> list[tuple[str, str]]:
    """(name, relative link) of the reports that the record's folder has."""
    found = []
    for holder in [path for pattern in REPORTS for path in sorted(folder.glob(pattern))[:3]]:
        pages = (holder / name for name in ("report.html", "README.md"))
        found += [path.relative_to(folder).as_posix() for path in pages if path.is_file()][:1]
    return [(path, quote(path)) for path in found]


@cache
def _script() -> tuple[str, str]:
    """The page's own script, and the hash by which alone it is allowed to run."""
    text = (files("pgolf.report") / "templates" / "live.js").read_text()
    return text, base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
