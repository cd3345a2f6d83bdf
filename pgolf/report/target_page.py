"""A speedrun on a page: the table of its variants, their curves over the baseline's, every run, and the checks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import ClassVar

from markupsafe import Markup

from pgolf.audit.checks import Check, Status
from pgolf.audit.checks.speedrun.review import VariantFigures
from pgolf.audit.target import TargetAudit
from pgolf.evidence.lines import printable
from pgolf.evidence.plan import Plan
from pgolf.evidence.run import Run
from pgolf.ledger import value
from pgolf.report import figures, target_figures
from pgolf.report.target_figures import Curves, Point, drawable
from pgolf.report.target_rows import (
    RunRow,
    VariantRow,
    columns,
    name_of,
    not_applying,
    remarks,
    run_rows,
    target_of,
    variant_rows,
)
from pgolf.tracks import Target, Track

MOST_LEADING = 2  # variants whose figures stand above all tables
MOST_DRAWN = 12  # variants whose curves are drawn
MOST_RUNS = 300  # rows of the table of runs
MOST_STEPS = 200  # rows of the table of the mean curves


@dataclass(frozen=True)
class TargetReport:
    """All that the page shows of one speedrun.

    `files` has (name, bytes, SHA-256) of what the folder holds, `plans` those of a record that pgolf has made.
    """

    audit: TargetAudit
    title: str
    files: Sequence[tuple[str, int, str]] = ()
    plans: Sequence[Plan] = ()

    template: ClassVar[str] = "_speedrun.html.j2"

    @property
    def track(self) -> Track:
        return self.audit.track

    @property
    def target(self) -> Target:
        return target_of(self.audit)

    @property
    def day(self) -> date | None:
        return self.audit.day

    @property
    def hardware(self) -> str | None:
        """The hardware of the runs, by their logs."""
        return hardware_of_runs(self.audit)

    @property
    def headline(self) -> str:
        """How the checks came out, in words."""
        failed = self.count("fail")
        return f"{failed} check{'s' * (failed != 1)} fail{'s' * (failed == 1)}" if failed else "no check fails"

    @property
    def light(self) -> Status:
        """The colour of the headline."""
        return "fail" if self.count("fail") else "warn" if self.count("warn") else "pass"

    def count(self, status: Status) -> int:
        """How many checks came out so."""
        return sum(c.status == status for c in self.audit.checks)

    @cached_property
    def rows(self) -> list[VariantRow]:
        """A row a variant."""
        return variant_rows(self.audit)

    @property
    def columns(self) -> list[tuple[str, str]]:
        """(heading, field) of the table of variants."""
        return columns(self.audit)

    @property
    def leading(self) -> list[VariantRow]:
        """The rows of the new variants, if they are few."""
        new = [row for row in self.rows if not row.baseline]
        return new if len(new) <= MOST_LEADING else []

    @property
    def remarks(self) -> list[str]:
        """What the table has no room for."""
        return list(remarks(self.audit))

    @cached_property
    def all_runs(self) -> list[tuple[str, RunRow]]:
        """(variant, row) of every run."""
        return [(name_of(v), row) for v in self.audit.variants for row in run_rows(self.audit, v)]

    @property
    def runs(self) -> list[tuple[str, RunRow]]:
        """Those that the table has."""
        return self.all_runs[:MOST_RUNS]

    @property
    def left_out(self) -> int:
        """How many runs the table leaves out."""
        return len(self.all_runs) - len(self.runs)

    @property
    def checks(self) -> list[Check]:
        """The checks that apply."""
        return [c for c in self.audit.checks if c.status != "does not apply"]

    @property
    def not_applying(self) -> str:
        """A line with the others."""
        return not_applying(self.audit)

    @cached_property
    def curves(self) -> list[Curves]:
        """The curves of each variant that has any."""
        return curves_of(self.audit)

    @property
    def not_drawn(self) -> int:
        """How many variants the charts leave out."""
        return max(0, sum(bool(v.results) for v in self.audit.variants) - MOST_DRAWN)

    @property
    def charts(self) -> list[tuple[Markup, str]]:
        """Each chart, and what it shows."""
        if not self.curves:
            return []
        timed = any(p.seconds is not None for v in self.curves for _, points in v.runs for p in points)
        ways: list[tuple[figures.By, str]] = [("step", "steps"), ("seconds", "seconds of training")]
        shown = []
        for by, words in ways if timed else ways[:1]:
            grey = ", the baseline is grey" if self.audit.baseline else ""
            whole = f"Validation loss over {words}: thin lines are runs, a thick one is their mean{grey}"
            ends = f"The last losses over {words}, beside the target: a dot is a run, a large one the mean"
            for figure, caption in (
                (target_figures.whole(self.curves, by), f"{whole}. The first tenth is cut off at the top."),
                (target_figures.ends(self.curves, by, self.target.loss), f"{ends}."),
            ):
                shown.append((figures.as_svg(figure, f"{caption} The tables have the figures."), caption))
        return shown

    @property
    def mean_losses(self) -> list[tuple[int, list[str]]]:
        """At each step that the mean of a variant is known at, (step, cells)."""
        means = [{int(p.step): _cell(p) for p in curve.mean()} for curve in self.curves]
        steps = sorted({step for mean in means for step in mean})
        return [(step, [mean.get(step, "") for mean in means]) for step in steps[-MOST_STEPS:]]


def _cell(point: Point) -> str:
    return f"{point.loss:.5f}" + ("" if point.seconds is None else f" ({point.seconds:.1f} s)")


def curves_of(audit: TargetAudit) -> list[Curves]:
    """The validation curves of the runs that count, of each variant that has any, the baseline first; of many
    variants the first few."""
    baseline = audit.baseline
    variants = list(audit.variants)
    if baseline is not None and not any(v is baseline for v in variants):
        variants.append(baseline)
    variants.sort(key=lambda v: v is not baseline)
    curves = [Curves(name_of(v), v is baseline, _runs(v)) for v in variants]
    return [c for c in curves if c.runs][:MOST_DRAWN]


def hardware_of_runs(audit: TargetAudit) -> str | None:
    """The hardware of a folder's runs, by their logs; each kind once."""
    runs = [run for v in audit.variants for run in v.variant.runs if run.hardware]
    counts = [(value(run.world_size) or value(run.device_count), value(run.hardware)) for run in runs]
    return ", ".join(dict.fromkeys(f"{count or '?'}x {name}" for count, name in counts)) or None


def sizes_of(audit: TargetAudit) -> dict[str, int]:
    """Bytes of the files at the folder's top and of its logs."""
    logs = {run.log for v in audit.variants for run in v.variant.runs}
    sizes = {log.relative_to(audit.found.path).as_posix(): log.stat().st_size for log in sorted(logs)}
    return audit.found.sizes | sizes


def _runs(figures: VariantFigures) -> list[tuple[str, list[Point]]]:
    short = {id(run) for run in figures.cut_short}
    runs = [(printable(run.log.name), _points(run)) for run in figures.variant.runs if id(run) not in short]
    return [(name, points) for name, points in runs if points]


def _points(run: Run) -> list[Point]:
    return drawable([Point(p.step, p.loss, p.seconds) for p in run.val_curve])
