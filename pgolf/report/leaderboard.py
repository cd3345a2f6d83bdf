"""An archive on one page: every record's score with its interval, what its logs show, and the frontier over time."""

import base64
import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from pgolf import __version__
from pgolf.audit.audit import Audit
from pgolf.audit.checks import Check, Status
from pgolf.audit.measures import Measure, worst_measures
from pgolf.files import write_atomic
from pgolf.report import figures
from pgolf.report import page as report
from pgolf.report.render import render
from pgolf.stats.student import t_quantile
from pgolf.tracks import Track


@dataclass(frozen=True)
class Row:
    """One record of the page, which will lie in the folder `beside`."""

    audit: Audit
    beside: Path

    @property
    def name(self) -> str:
        return self.audit.folder.resolve().name

    @property
    def title(self) -> str | None:
        return self.audit.entry.claims.name

    @property
    def author(self) -> str | None:
        return self.audit.entry.claims.author

    @cached_property
    def day(self) -> date | None:
        """As claimed, or as the folder's name begins."""
        for text in (self.name[:10], (self.audit.entry.claims.date or "")[:10]):
            try:
                return date.fromisoformat(text)
            except ValueError:
                continue
        return None

    @property
    def mean(self) -> float | None:
        return self.audit.mean_val_bpb

    @property
    def half_interval(self) -> float | None:
        """Half of the mean's 95 % interval by Student's t, in bpb; None for one seed."""
        n, std = len(self.audit.runs), self.audit.std_val_bpb
        return None if std is None else float(t_quantile(0.975, n - 1)) * std / math.sqrt(n)

    @cached_property
    def limits(self) -> list[Measure]:
        """Code and model, training, with calibration, evaluation: the seed that decides."""
        return worst_measures(self.audit.runs, self.audit.track.limits)

    def checks(self, status: Status) -> list[Check]:
        """The checks that came out so."""
        return [c for c in self.audit.checks if c.status == status]

    @property
    def trouble(self) -> int:
        """The key of the column of checks: failures first, then warnings."""
        return 100 * len(self.checks("fail")) + len(self.checks("warn"))

    @property
    def link(self) -> str | None:
        """Where the record's own report is, as seen from this page, if it has one."""
        path = self.audit.folder / report.NAME
        return quote(os.path.relpath(path, self.beside)) if path.is_file() else None


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


def leaderboards(audits: Sequence[Audit], beside: Path) -> list[Leaderboard]:
    """One a track, the one with most records first."""
    tracks = {a.track.name: a.track for a in audits}
    rows = [Row(a, beside) for a in audits]
    made = [
        Leaderboard(
            track, sorted((r for r in rows if r.audit.track.name == name), key=lambda r: (r.mean or math.inf, r.name))
        )
        for name, track in tracks.items()
    ]
    return sorted(made, key=lambda b: -len(b.rows))


def page(title: str, audits: Sequence[Audit], beside: Path) -> str:
    """The archive as a page; its one script, which sorts, is allowed by its hash."""
    script = (files("pgolf.report") / "templates" / "sort.js").read_text()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    context = {"title": title, "leaderboards": leaderboards(audits, beside), "script": Markup(script), "digest": digest}
    return render("archive.html.j2", version=__version__, **context)


def write_leaderboard(title: str, audits: Sequence[Audit], path: Path) -> Path:
    """Write the page."""
    write_atomic(path, page(title, audits, path.resolve().parent))
    return path
