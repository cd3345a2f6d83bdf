"""An audit of a speedrun as tables for a terminal: those that its reviewers make by hand, every run, and the checks."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from pgolf.audit.target import TargetAudit
from pgolf.evidence.lines import printable
from pgolf.report.audit_tables import check_table
from pgolf.report.columns import Columns
from pgolf.report.target_rows import (
    VariantRow,
    name_of,
    not_applying,
    remarks,
    run_rows,
    target_of,
    variant_rows,
)

MOST_RUNS = 200  # rows of a table of runs


def target_tables(audit: TargetAudit) -> RenderableType:
    """Everything about one speedrun: its variants, their runs, and every check."""
    return Group(*_parts(audit))


def _parts(audit: TargetAudit) -> Iterator[RenderableType]:
    title = f"{printable(str(audit.folder))} · track {audit.track.name}"
    yield Text(title, style="bold", no_wrap=True, overflow="ignore")  # a path can be copied only in one piece
    rows, target, beside = variant_rows(audit), target_of(audit), audit.baseline is not None
    yield Text()
    yield from _steps(rows, beside) if target.least == "steps" else _seconds(rows, beside)
    yield Text()
    yield from _losses(rows, f"{target.loss:g}")
    yield Text()
    sentences = [Text(sentence) for sentence in remarks(audit)]
    yield from [*sentences, Text()] if sentences else []
    yield from _runs(audit)
    yield check_table([c for c in audit.checks if c.status != "does not apply"])
    if said := not_applying(audit):
        yield Text(said)


def _table(title: str, rows: Sequence[Sequence[str]], columns: Sequence[str]) -> Iterator[RenderableType]:
    yield Text(title)
    yield Columns(rows, ("variant", *columns), range(1, len(columns) + 1), headed=True)


def _seconds(rows: Sequence[VariantRow], beside: bool) -> Iterator[RenderableType]:
    gain = ("gain", "p faster") if beside else ()
    cells = [
        (r.name, r.runs, r.steps, r.seconds, r.seconds_std, *((r.seconds_gain, r.seconds_p) if beside else ()))
        for r in rows
    ]
    yield from _table("training time in seconds", cells, ("runs", "steps", "mean", "std", *gain))


def _steps(rows: Sequence[VariantRow], beside: bool) -> Iterator[RenderableType]:
    gain = ("gain",) if beside else ()
    cells = [(r.name, r.runs, r.steps, *((r.step_gain,) if beside else ()), r.seconds, r.seconds_std) for r in rows]
    title = "steps; time does not count on this track"
    yield from _table(title, cells, ("runs", "steps", *gain, "mean training, s", "std"))


def _losses(rows: Sequence[VariantRow], target: str) -> Iterator[RenderableType]:
    cells = [(r.name, r.loss, r.loss_std, r.loss_gap, r.loss_p) for r in rows]
    title = "last validation loss in nats per token"
    yield from _table(title, cells, ("mean", "std", f"below {target}", f"p below {target}"))


def _runs(audit: TargetAudit) -> Iterator[RenderableType]:
    """Every run, those of a variant together, under its name."""
    left = MOST_RUNS
    for figures in audit.variants:
        rows = run_rows(audit, figures)
        if not rows:
            continue
        yield Text(f"runs of {name_of(figures)}")
        cells = []
        for row in rows[:left]:
            style = "" if row.counts else "dim"
            name = row.log.removesuffix(".txt")  # with a UUID for a name a row fits 60 columns
            log = name if row.counts else f"{name} (does not count)"
            cells.append([Text(cell, style) for cell in (log, row.loss, row.step, row.seconds)])
        if cells:
            yield Columns(cells, ("log (.txt)", "loss", "step", "seconds"), range(1, 4), headed=True)
        if rows[left:]:
            yield Text(f"and {len(rows[left:])} more")
        yield Text()
        left = max(0, left - len(rows))
