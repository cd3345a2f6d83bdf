"""A record in one line of a table: all that an archive keeps of an audit, so that it may have any number of records."""

import math
import os
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from urllib.parse import quote

from pgolf.audit.audit import Audit
from pgolf.audit.checks import Check, Status
from pgolf.audit.measures import Measure, worst_measures
from pgolf.stats.student import t_quantile
from pgolf.tracks import Track

REPORT = "report.html"  # in a record's folder: the page about it


@dataclass(frozen=True)
class Row:
    """One record of an archive.

    Attributes
    ----------
    name : of its folder.
    title, author : as submission.json claims.
    seeds : how many there are logs of.
    mean, std : of the final scores, in bpb.
    limits : code and model, training, with calibration, evaluation: the seed that decides.
    findings : every check, without the lines that it rests on.
    report : the record's own page, if its folder has one.
    anchor : its part of the page that the line is on, if it has one.
    folder : where it lies.
    """

    name: str
    title: str | None
    author: str | None
    track: Track
    day: date | None
    seeds: int
    mean: float | None
    std: float | None
    limits: tuple[Measure, ...]
    findings: tuple[Check, ...]
    report: Path | None
    anchor: str = ""
    folder: Path = Path()

    @property
    def measure(self) -> float | None:
        """What is to be least: the mean, if it is a number."""
        return self.mean if self.mean is not None and math.isfinite(self.mean) else None

    @property
    def failed(self) -> list[str]:
        """The checks of its runs that fail; that a single seed is too few is told as such."""
        told = {"seed-count"} if self.seeds < 2 else set()
        return [c.id for c in self.checks("fail") if not c.of_papers and c.id not in told]

    @property
    def doubt(self) -> str:
        """Why this is no point of the frontier, in a few words; '' if it is one."""
        if self.measure is None:
            return "no score"
        why = ["one seed"] if self.seeds < 2 else []
        return ", ".join(why + [f"fails {', '.join(self.failed)}"] * bool(self.failed))

    @property
    def half_interval(self) -> float | None:
        """Half of the mean's 95 % interval by Student's t, in bpb; None for one seed."""
        if self.std is None:
            return None
        return float(t_quantile(0.975, self.seeds - 1)) * self.std / math.sqrt(self.seeds)

    def checks(self, status: Status) -> list[Check]:
        """The checks that came out so."""
        return [c for c in self.findings if c.status == status]

    @property
    def trouble(self) -> int:
        """The key of the column of checks: failures first, then warnings."""
        return 100 * len(self.checks("fail")) + len(self.checks("warn"))

    def link(self, beside: Path) -> str | None:
        """Where the record's own report is, as seen from a page in the folder `beside`, if it has one."""
        if self.anchor:
            return f"#{self.anchor}"
        return quote(os.path.relpath(self.report, beside)) if self.report else None


def row_of(audit: Audit) -> Row:
    """The line about an audit."""
    report = audit.folder / REPORT
    return Row(
        name=audit.folder.resolve().name,
        title=audit.entry.claims.name,
        author=audit.entry.claims.author,
        track=audit.track,
        day=audit.day,
        seeds=len(audit.runs),
        mean=audit.mean_val_bpb,
        std=audit.std_val_bpb,
        limits=tuple(worst_measures(audit.runs, audit.track.limits)),
        findings=tuple(replace(c, evidence=()) for c in audit.checks),
        report=report if report.is_file() else None,
        folder=audit.folder,
    )
