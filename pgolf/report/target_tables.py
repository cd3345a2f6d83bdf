"""An audit of a speedrun as tables for a terminal: those that its reviewers make by hand, every run, and the checks."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pgolf.audit.target import TargetAudit
from pgolf.evidence.lines import printable
from pgolf.report.audit_tables import check_table
from pgolf.report.target_rows import (
    VariantRow,
    name_of,
    not_applying,
    remarks,
    run_rows,
    target_of,
    variant_rows,
)

STYLE: dict[str, Any] = {
    "box": SIMPLE_HEAD,
    "show_edge": False,
    "pad_edge": False,
    "padding": (0, 1, 0, 0),
    "title_justify": "left",
    "title_style": "",
}
MOST_RUNS = 200  # rows of a table of runs


def target_tables(audit: TargetAudit) -> RenderableType:
    """Everything about one speedrun: its variants, their runs, and every check."""
    return Group(*_parts(audit))


def _parts(audit: TargetAudit) -> Iterator[RenderableType]:
    title = f"{printable(str(audit.folder))} · track {audit.track.name}"
    yield Text(title, style="bold", no_wrap=True, overflow="ignore")  # a path can be copied only in one piece
    rows, target, beside = variant_rows(audit), target_of(audit), audit.baseline is not None
    yield Text()
    yield _steps(rows, beside) if target.least == "steps" else _seconds(rows, beside)
    yield Text()
    yield _losses(rows, f"{target.loss:g}")
    yield Text()
    sentences = [Text(sentence) for sentence in remarks(audit)]
    yield from [*sentences, Text()] if sentences else []
    yield _runs(audit)
    yield Text()
    yield check_table([c for c in audit.checks if c.status != "does not apply"])
    if said := not_applying(audit):
        yield Text(said)


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, **STYLE)
    table.add_column("variant", overflow="fold", min_width=8)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _seconds(rows: Sequence[VariantRow], beside: bool) -> Table:
    gain = ("gain", "p faster") if beside else ()
    table = _table("training time in seconds", ("runs", "steps", "mean", "std", *gain))
    for r in rows:
        gained = (r.seconds_gain, r.seconds_p) if beside else ()
        table.add_row(*map(Text, (r.name, r.runs, r.steps, r.seconds, r.seconds_std, *gained)))
    return table


def _steps(rows: Sequence[VariantRow], beside: bool) -> Table:
    gain = ("gain",) if beside else ()
    table = _table("steps; time does not count on this track", ("runs", "steps", *gain, "mean s", "std s"))
    for r in rows:
        gained = (r.step_gain,) if beside else ()
        table.add_row(*map(Text, (r.name, r.runs, r.steps, *gained, r.seconds, r.seconds_std)))
    return table


def _losses(rows: Sequence[VariantRow], target: str) -> Table:
    table = _table("last validation loss in nats per token", ("mean", "std", f"below {target}", f"p below {target}"))
    for r in rows:
        table.add_row(*map(Text, (r.name, r.loss, r.loss_std, r.loss_gap, r.loss_p)))
    return table


def _runs(audit: TargetAudit) -> Table:
    """Every run, those of a variant together."""
    table = Table(**STYLE)
    table.add_column("log (.txt)", overflow="fold", min_width=16)
    for column in ("loss", "step", "seconds"):
        table.add_column(column, justify="right", no_wrap=True)
    left = MOST_RUNS
    for figures in audit.variants:
        rows = run_rows(audit, figures)
        if not rows:
            continue
        table.add_row(Text(name_of(figures), style="bold"))
        for row in rows[:left]:
            style = "" if row.counts else "dim"
            name = row.log.removesuffix(".txt")  # with a UUID for a name a row fits 60 columns
            log = name if row.counts else f"{name} (does not count)"
            table.add_row(*(Text(cell, style) for cell in (log, row.loss, row.step, row.seconds)))
        if rows[left:]:
            table.add_row(Text(f"and {len(rows[left:])} more"))
        left = max(0, left - len(rows))
    return table
