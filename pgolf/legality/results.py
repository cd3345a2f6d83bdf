"""What a probe found: typed, with its power stated, and ready to be written as JSON."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rich.table import Table
from rich.text import Text


@dataclass(frozen=True)
class CounterExample:
    """Where an evaluator gave itself away. `seed` and `changed` make it repeatable."""

    what: str  # a sentence with the figures
    position: int | None = None  # where the difference shows
    changed: int | None = None  # the first token that the two streams differ in
    replacement: str | None = None  # what was put there
    seed: int | None = None
    before: float | None = None
    after: float | None = None


@dataclass(frozen=True)
class ProbeResult:
    """One probe of one evaluator. `passed` is None where the probe could not be run; `power` says why."""

    probe: str
    subject: str
    passed: bool | None
    deterministic: bool | None  # the same stream gave the same bits again; None: not asked
    power: str  # what was tried, and what that would have missed
    positions: int = 0  # positions tried or checked, over all seeds
    borders: int = 0  # of these, at borders of pieces, of state changes or of influence
    seeds: tuple[int, ...] = ()
    counter_example: CounterExample | None = None
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As a dictionary that JSON can hold: figures that are not finite are None."""
        example = self.counter_example
        if example:
            finite = {k: v for k, v in asdict(example).items() if not isinstance(v, float) or math.isfinite(v)}
            example = CounterExample(**{"before": None, "after": None} | finite)
        return asdict(replace(self, counter_example=example))


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
