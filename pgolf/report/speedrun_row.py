"""A speedrun's record in one line of a table: all that an archive keeps of its audit."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import quote

from pgolf.audit.belonging import SHORT_DAY
from pgolf.audit.checks import Check, Status
from pgolf.audit.checks.speedrun.review import VariantFigures
from pgolf.audit.target import TargetAudit
from pgolf.report.row import REPORT
from pgolf.stats.student import t_quantile
from pgolf.stats.target import TargetTest, TimeGain
from pgolf.tracks import Target, Track


@dataclass(frozen=True)
class SpeedrunRow:
    """One record of an archive: the figures of one of its variants.

    Attributes
    ----------
    name : of its folder.
    variant : the variant's sub-folder, '' where its logs lie in the folder itself; `others` is how many more there are
        that are no baseline.
    runs : how many of them count.
    steps : the most last steps of a run; None without runs.
    loss : the last losses against the target.
    seconds, std_seconds, timed : mean and sample standard deviation of the training clock, and of how many runs.
    gain : seconds against the baseline's.
    findings : every check that applies, without the lines that it rests on.
    report : the record's own page, if its folder has one.
    anchor : its part of the page that the line is on, if it has one.
    folder : where it lies.
    """

    name: str
    track: Track
    target: Target
    day: date | None
    variant: str
    others: int
    runs: int
    steps: int | None
    loss: TargetTest | None
    seconds: float | None
    std_seconds: float | None
    timed: int
    gain: TimeGain | None
    findings: tuple[Check, ...]
    report: Path | None
    anchor: str = ""
    folder: Path = Path()

    @property
    def title(self) -> str:
        """The folder's name without the day that it begins with."""
        return (
            SHORT_DAY.sub("", self.name, count=1).lstrip("-_ ") or self.name
            if SHORT_DAY.match(self.name)
            else self.name
        )

    @property
    def measure(self) -> float | None:
        """What the track asks to be least: seconds, or steps."""
        return self.seconds if self.target.least == "train_seconds" else self.steps

    @property
    def half_interval(self) -> float | None:
        """Half of the mean time's 95 % interval by Student's t, in seconds; None for one run, and where steps count."""
        if self.std_seconds is None or self.target.least == "steps":
            return None
        return float(t_quantile(0.975, self.timed - 1)) * self.std_seconds / math.sqrt(self.timed)

    @property
    def doubt(self) -> str:
        """Why this is no point of the frontier, in a few words; '' if it is one."""
        if not self.runs or not self.measure or self.measure < 0:
            return "no time" if self.runs else "no run that counts"
        if self.runs < self.target.min_runs:
            return f"{self.runs} run{'s' * (self.runs != 1)} of the {self.target.min_runs} that it takes"
        if not reaches(self.loss, self.target):
            return "not shown to reach the target"
        failed = [c.id for c in self.checks("fail")]
        return f"fails {', '.join(failed)}" if failed else ""

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


def reaches(loss: TargetTest | None, target: Target) -> bool:
    """Whether the mean is below the target at the track's level, whatever the losses were before they were rounded."""
    return bool(loss and loss.p_range and loss.p_range[1] < target.alpha)


def speedrun_row_of(audit: TargetAudit) -> SpeedrunRow:
    """The line about an audit: of the new variant that is the best of those that reach the target."""
    target = audit.track.target
    assert target is not None  # audit_target takes no other track
    new = [v for v in audit.new if v.variant.runs] or [v for v in audit.variants if v.variant.runs]
    best = _best(new, target)
    report = audit.folder / REPORT
    return SpeedrunRow(
        name=audit.folder.resolve().name,
        track=audit.track,
        target=target,
        day=audit.day,
        variant=best.variant.name,
        others=len(new) - 1,
        runs=len(best.results),
        steps=best.steps[-1] if best.steps else None,
        loss=best.loss,
        seconds=best.mean_seconds,
        std_seconds=best.std_seconds,
        timed=len(best.seconds),
        gain=best.gain,
        findings=tuple(Check(c.id, c.status, c.message) for c in audit.checks if c.status != "does not apply"),
        report=report if report.is_file() else None,
        folder=audit.folder,
    )


def _best(variants: Sequence[VariantFigures], target: Target) -> VariantFigures:
    """Of the variants that reach the target the least; of several that do not, the one with most runs."""

    def key(figures: VariantFigures) -> tuple[bool, float]:
        steps = figures.steps[-1] if figures.steps else None
        measure = steps if target.least == "steps" else figures.mean_seconds
        there = len(figures.results) >= target.min_runs and reaches(figures.loss, target) and measure is not None
        return not there, measure if there and measure is not None else -len(figures.results)

    return min(variants, key=key)
