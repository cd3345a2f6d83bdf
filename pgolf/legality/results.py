"""The results of probes as a table."""

from collections.abc import Sequence

from rich.text import Text

from pgolf.evidence.probes import ProbeResult

HEADINGS = "", "probe", "probed", "evidence"
VERDICTS = {True: ("passes", "green"), False: ("fails", "red"), None: ("not run", "dim")}


def table(results: Sequence[ProbeResult]) -> list[tuple[str | Text, ...]]:
    """A row a result, for people: the counter-example of what fails, else what was tried."""
    rows: list[tuple[str | Text, ...]] = []
    for r in results:
        example = r.counter_example
        tried = r.power
        if example:
            tried = example.what
            tried += f"; changed from {example.changed}: {example.replacement}" if example.changed else ""
            tried += "" if r.deterministic is not False else " (the evaluator does not repeat itself)"
        rows.append((Text(*VERDICTS[r.passed]), r.probe, r.subject, tried))
    return rows
