"""The outcome of a record or a sweep on standard output: tables and the verdict, or JSON."""

import json
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from pgolf.cli.output import show_report, show_tables, show_verdict

REPORT_MOST = 1 << 20  # bytes

if TYPE_CHECKING:
    from pgolf.record.outcome import AnyOutcome


def show_outcome(outcome: "AnyOutcome", as_json: bool) -> int:
    """Print the outcome of a record or a sweep; return the exit code that says it: 0 for a submission, or a sweep's
    table, else 1."""
    from pgolf.record.outcome import end_with

    if as_json:
        typer.echo(json.dumps(outcome.as_json(), indent=2, allow_nan=False))
    else:
        _show(outcome)
    return end_with(outcome).exit_code


def _show(outcome: "AnyOutcome") -> None:
    from pgolf.record.outcome import Outcome, SweepOutcome
    from pgolf.report.columns import ENDLESS
    from pgolf.report.tables import comparison_table, seed_table
    from pgolf.report.target_tables import target_tables
    from pgolf.untrusted import Untrusted, read_bytes

    if isinstance(outcome, SweepOutcome):
        typer.echo(f"{outcome.kind} {outcome.folder.name} is finished: {outcome.said}")
        with suppress(Untrusted):  # it may be gone, or lie below another folder than this one
            show_report(read_bytes(outcome.report, REPORT_MOST, inside=outcome.folder).decode("utf-8", "replace"))
        typer.echo(str(outcome.report))
        return
    stdout = Console(highlight=False)
    if isinstance(outcome, Outcome):
        of = outcome.verdict
        show_tables(seed_table(outcome.scores), *([comparison_table(of.comparison)] if of.comparison else []))
        show_verdict(stdout, of.positive, of.against, of.warnings, outcome.path, of.non_record)
        _next(outcome.path, of.submitted)
        return
    verdict = outcome.verdict
    wide = Console(highlight=False, width=None if sys.stdout.isatty() else ENDLESS)
    if verdict.audit:
        wide.print(target_tables(verdict.audit))
    show_verdict(wide, verdict.positive, verdict.reasons, verdict.warnings, outcome.path)
    _next(outcome.path, verdict.positive)


def _next(folder: Path, submitted: bool) -> None:
    """Say what comes next with the folder of a submission."""
    if submitted:
        named = shlex.quote(str(folder))
        typer.echo(f"next: pgolf audit --draft {named}, then pgolf submit {named} --repo CLONE")
