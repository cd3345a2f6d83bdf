"""The results of legality probes, typed, each with what it tried; and the file of them that a record keeps.

`probes.jsonl` has one JSON object a line: first the artifact and program that were probed, then one result a line, so
that a statement can name its line.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from pgolf.errors import BadInput
from pgolf.evidence.run import Evidence
from pgolf.untrusted import Untrusted, first_of, parse_json, read_text

PROBES = "probes.jsonl"
MOST_BYTES = 1 << 24  # of that file


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


@dataclass(frozen=True)
class Probed:
    """The artifact and program that were probed, and the results. `artifact` and `program` (its script) are SHA-256.

    `evaluator` has the SHA-256 of each file of the evaluator that a user gave, by name; `eval_only` the variables by
    which the program itself scored the artifact. Both are empty for our own trainer. `prober` is the SHA-256 of the
    code of pgolf that probed; empty in older files. `seconds` is the time that it took, where that was kept.
    """

    seed: int
    artifact: str
    program: str
    results: tuple[ProbeResult, ...]
    evaluator: Mapping[str, str] = field(default_factory=dict)
    eval_only: Mapping[str, str] = field(default_factory=dict)
    prober: str = ""
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None

    def answer(self, *probes: str, evaluator: str | tuple[str, ...] = "") -> "Answer":
        """Whether all these probes (of one evaluator, or of any) pass; None where one was not run."""
        lines = [
            (line, r) for line, r in enumerate(self.results, 2) if r.probe in probes and r.subject.startswith(evaluator)
        ]
        results = [r for _, r in lines]
        holds: bool | None = all(r.passed for r in results) if results else None
        if holds is False and not any(r.passed is False for r in results):
            holds = None
        tried = min(((r.positions, r.borders) for r in results), default=(0, 0))
        return Answer(holds, tuple(Evidence(PROBES, line) for line, _ in lines), *tried)

    @property
    def notes(self) -> list[str]:
        """The notes of all results, each once."""
        return list(dict.fromkeys(note.rstrip(".") for r in self.results for note in r.notes))

    @property
    def failures(self) -> list[str]:
        """A sentence for each probe that fails, with its counter-example."""
        return [
            f"probe '{r.probe}' of {r.subject} fails: {r.counter_example.what if r.counter_example else r.power}"
            for r in self.results
            if r.passed is False
        ]

    @property
    def count(self) -> str:
        """How many probes fail, in words."""
        n = len(self.failures)
        return f"{n} probe{'s fail' if n > 1 else ' fails'}" if n else "no probe fails"


@dataclass(frozen=True)
class Answer:
    """The answer of several probes together; `positions` and `borders` are those of the probe that tried the fewest."""

    holds: bool | None
    evidence: tuple[Evidence, ...]
    positions: int
    borders: int


def read_probes(path: Path) -> Probed:
    """Read the file that `run_probes` wrote; BadInput if it is anything else."""
    try:
        lines = read_text(path, MOST_BYTES).splitlines()
        about, *results = (parse_json(line, f"line {number}") for number, line in enumerate(lines, 1))
        return TypeAdapter(Probed).validate_python({**about, "results": results})
    except ValidationError as e:
        raise Untrusted(f"{path} holds no results of probes: {first_of(e.errors())}") from None
    except (Untrusted, ValueError, TypeError) as e:
        raise BadInput(f"{path} holds no results of probes: {str(e).removeprefix(f'{path}: ')}") from None
