"""The results of probes as a table."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from pgolf.evidence.probes import ProbeResult


def table(results: Sequence[ProbeResult]) -> Table:
    """The results for people: the counter-example of what fails, else what was tried."""
    rows = Table("probe", "of", "", "evidence")
    for r in results:
        verdict = {True: "[green]passes[/green]", False: "[red]fails[/red]", None: "not run"}[r.passed]
        found = r.counter_example
        tried = r.power
        if found:
            tried = f"{found.what}; changed from {found.changed}: {found.replacement}" if found.changed else found.what
            tried += "" if r.deterministic is not False else " (the evaluator does not repeat itself)"
        rows.add_row(r.probe, Text(r.subject), verdict, Text(tried))
    return rows
