"""The figures of a speedrun's submission, from its audit: what the READMEs of records and of drafts print alike."""

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from pgolf.audit.target import TargetAudit
from pgolf.report.figures import By, save_png
from pgolf.report.runs_inputs import NEW
from pgolf.report.target_figures import both
from pgolf.report.target_page import curves_of, hardware_of_runs
from pgolf.report.target_review import runs_markdown, variants_markdown
from pgolf.report.target_rows import VariantRow, target_of, variant_rows

CURVES = "curves.png"


@dataclass(frozen=True)
class RunsFigures:
    """`audit` is of the folder with the logs; None: no run has one."""

    audit: TargetAudit | None

    @property
    def table(self) -> Markup | None:
        """The table of the variants, and the sentences beside it, in Markdown that is escaped already."""
        return Markup("\n".join(variants_markdown(self.audit))) if self.audit else None

    @property
    def runs(self) -> Markup | None:
        """The table of all runs, likewise."""
        return Markup("\n".join(runs_markdown(self.audit))) if self.audit else None

    @property
    def row(self) -> VariantRow | None:
        """The figures of the new variant."""
        rows = variant_rows(self.audit) if self.audit else []
        return next((row for row in rows if row.name == NEW), None)

    @property
    def has_curves(self) -> bool:
        return bool(self.audit and curves_of(self.audit))

    @property
    def beside(self) -> bool:
        """Whether there is a baseline."""
        return bool(self.audit and self.audit.baseline)

    @property
    def hardware(self) -> str | None:
        """The hardware of the runs, by their logs."""
        return hardware_of_runs(self.audit) if self.audit else None

    @property
    def one_number_of_steps(self) -> bool:
        """Whether all runs of a variant have as many steps."""
        return all(len(v.steps) <= 1 for v in self.audit.variants) if self.audit else True


def write_curves(audit: TargetAudit, folder: Path) -> None:
    """Write the picture of the validation losses, if there are any."""
    curves = curves_of(audit)
    if not curves:
        return
    by: By = "step" if target_of(audit).least == "steps" else "seconds"
    if all(p.seconds is None for v in curves for _, points in v.runs for p in points):
        by = "step"
    save_png(both(curves, by, target_of(audit).loss), folder / CURVES, "Validation loss")
