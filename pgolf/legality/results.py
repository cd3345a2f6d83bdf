"""The results of probes as a table."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from pgolf.evidence.probes import ProbeResult


def table(results: Sequence[ProbeResult]) -> Table:
    """The results for people: the counter-example of what fails, else what was tried."""
    rows = Table("probe", "probed", "", "evidence")
    for r in results:
        verdict = {True: "[green]passes[/green]", False: "[red]fails[/red]", None: "not run"}[r.passed]
        example = r.counter_example
        tried = r.power
        if example:
            tried = example.what
            tried += f"; changed from {example.changed}: {example.replacement}" if example.changed else ""
            tried += "" if r.deterministic is not False else " (the evaluator does not repeat itself)"
        rows.add_row(r.probe, Text(r.subject), verdict, Text(tried))
    return rows
