"""An archive on one page: every record's score with its interval, what its logs show, and the frontier over time."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from pgolf import __version__
from pgolf.audit.audit import Audit, Audited
from pgolf.audit.target import TargetAudit
from pgolf.files import write_atomic
from pgolf.report import figures
from pgolf.report.frontier import Axis, Dated, Kind, charts, leaders
from pgolf.report.render import render
from pgolf.report.row import Row, row_of
from pgolf.report.speedrun_board import boards, told_apart
from pgolf.report.speedrun_row import SpeedrunRow, speedrun_row_of
from pgolf.tracks import Track

if TYPE_CHECKING:
    from pgolf.report.page import Report
    from pgolf.report.target_page import TargetReport

AXIS = Axis("bits per byte (lower is better)", "{:.4f}".format)
COUNTS = Kind("several seeds, no check fails", figures.SEEDS[0], "o")
PAPERS_FAIL = Kind("several seeds, only files or claims fail a check", figures.SEEDS[0], "D")
ONE = Kind("one seed: spread unknown, never the best", figures.STANDING, "o", hollow=True)
FAILS = Kind("a check of its runs fails: never the best", figures.SEEDS[4], "X")


@dataclass(frozen=True)
class Leaderboard:
    """The records of one track, best first; those without a score last."""

    track: Track
    rows: Sequence[Row]

    def chart(self) -> Markup | None:
        """The frontier over time; None where fewer than two records have a day and a score."""
        label = f"Scores of track {self.track.name} by day, and the best so far"
        return charts(dated(self.rows), self.leaders, AXIS, label)

    @cached_property
    def leaders(self) -> list[Row]:
        """The records that made the frontier."""
        return leaders(self.rows)


def dated(rows: Iterable[Row]) -> list[Dated]:
    """The points of the records that have a day and a score."""
    points = []
    for r in rows:
        if r.day and r.measure is not None:
            doubt = f" · {r.doubt}" if r.doubt else ""
            tip = f"{r.day} · {r.measure:.5f} bpb · {r.title or r.name}{doubt}"
            points.append(Dated(r.day, r.measure, r.half_interval, _kind(r), tip))
    return points


def _kind(row: Row) -> Kind:
    if row.failed or row.seeds < 2:
        return FAILS if row.failed else ONE
    return PAPERS_FAIL if row.checks("fail") else COUNTS


def any_row_of(audit: Audited) -> Row | SpeedrunRow:
    """The line about an audit."""
    return speedrun_row_of(audit) if isinstance(audit, TargetAudit) else row_of(audit)


def leaderboards(audits: Iterable[Audit | Row]) -> list[Leaderboard]:
    """One a track, the one with most records first."""
    rows = [row_of(a) if isinstance(a, Audit) else a for a in audits]
    tracks = {r.track.name: r.track for r in rows}
    made = [
        Leaderboard(
            track, sorted((r for r in rows if r.track.name == name), key=lambda r: (r.mean or math.inf, r.name))
        )
        for name, track in tracks.items()
    ]
    return sorted(made, key=lambda b: -len(b.rows))


def page(
    title: str,
    audits: Iterable[Audited | Row | SpeedrunRow],
    beside: Path,
    reports: Sequence[Report | TargetReport] = (),
) -> str:
    """The archive as a page, which will lie in `beside`; its one script, which sorts, is allowed by its hash.

    With `reports`, one an audit and in the same order, the page has these too, and a record's name leads to its own.
    """
    rows = told_apart([any_row_of(a) if isinstance(a, Audited) else a for a in audits])
    if reports:
        rows = [replace(row, anchor=f"r{n}") for n, row in enumerate(rows, 1)]
    script = (files("pgolf.report") / "templates" / "sort.js").read_text()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    boards_of_both = {
        "leaderboards": leaderboards(r for r in rows if isinstance(r, Row)),
        "speedruns": boards(r for r in rows if isinstance(r, SpeedrunRow)),
    }
    context = {"title": title, "script": Markup(script), "digest": digest, "reports": reports} | boards_of_both
    return render("archive.html.j2", version=__version__, beside=beside, **context)


def write_leaderboard(title: str, audits: Iterable[Audited | Row | SpeedrunRow], path: Path) -> Path:
    """Write the page."""
    write_atomic(path, page(title, audits, path.resolve().parent))
    return path
