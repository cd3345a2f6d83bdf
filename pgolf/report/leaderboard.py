"""An archive on one page: every record's score with its interval, what its logs show, and the frontier over time."""

import base64
import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from markupsafe import Markup

from pgolf import __version__
from pgolf.audit.audit import Audit, Audited
from pgolf.audit.target import TargetAudit
from pgolf.files import write_atomic
from pgolf.report import figures
from pgolf.report.render import render
from pgolf.report.row import Row, row_of
from pgolf.report.speedrun_board import boards
from pgolf.report.speedrun_row import SpeedrunRow, speedrun_row_of
from pgolf.tracks import Track


@dataclass(frozen=True)
class Leaderboard:
    """The records of one track, best first; those without a score last."""

    track: Track
    rows: Sequence[Row]

    def chart(self) -> Markup | None:
        """The frontier over time; None where fewer than two records have a day and a score."""
        dated = [
            figures.Dated(r.day, r.mean, r.half_interval, r.title or r.name)
            for r in self.rows
            if r.day and r.mean is not None
        ]
        label = f"Scores of track {self.track.name} by day, and the best so far; the table below has the figures"
        return figures.as_svg(figures.frontier(dated), label) if len(dated) > 1 else None


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


def page(title: str, audits: Iterable[Audited | Row | SpeedrunRow], beside: Path) -> str:
    """The archive as a page, which will lie in `beside`; its one script, which sorts, is allowed by its hash."""
    rows = [any_row_of(a) if isinstance(a, Audited) else a for a in audits]
    script = (files("pgolf.report") / "templates" / "sort.js").read_text()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    boards_of_both = {
        "leaderboards": leaderboards(r for r in rows if isinstance(r, Row)),
        "speedruns": boards(r for r in rows if isinstance(r, SpeedrunRow)),
    }
    context = {"title": title, "script": Markup(script), "digest": digest} | boards_of_both
    return render("archive.html.j2", version=__version__, beside=beside, **context)


def write_leaderboard(title: str, audits: Iterable[Audited | Row | SpeedrunRow], path: Path) -> Path:
    """Write the page."""
    write_atomic(path, page(title, audits, path.resolve().parent))
    return path
