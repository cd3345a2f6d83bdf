"""The knobs that differ from the standing record's: from both logs' dumps, or only from the variables that were set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pgolf.audit.differences import KnobDifference, knob_differences
from pgolf.ledger import StandingRecord
from pgolf.program import Program
from pgolf.program.environment import published

SAME_BUT = "seeds, paths, ranks and names of a run"


@dataclass(frozen=True)
class KnobTable:
    """The knobs that differ, and the sentence that says how this is known.

    `beside` says what stands in the column before the new value: the standing record's own ('previous'), or the default
    that the program's source has ('default').
    """

    rows: Sequence[KnobDifference]
    sentence: str
    heading: str
    beside: Literal["previous", "default"] = "previous"

    @property
    def missing(self) -> str:
        """What a table says in place of a value that is not there."""
        return "not in the dump" if self.beside == "previous" else "none known"


def knob_table(dump: Mapping[str, str], standing: StandingRecord | None, program: Program | None = None) -> KnobTable:
    """Compare a record's knobs with the standing record's.

    Parameters
    ----------
    dump : the hyperparameters that the record's logs print; empty if they print none.
    standing : the record to beat; None: none was named.
    program : what was run, where it is known: without a dump, the variables that were set for it are all there is.
    """
    theirs = program if program and not program.ours else None
    if standing is None:
        said = "No record to beat was named, so knobs have nothing to be compared with"
        return _variables(theirs, said) if theirs else KnobTable([], f"{said}.", "previous")
    name = standing.name
    if theirs and not dump:
        return _variables(
            theirs,
            "The logs here hold no dump of hyperparameters",
            f"; how else knobs differ from those of {name} is unknown",
        )
    if not standing.hyperparameters or not dump:
        whose = "here" if standing.hyperparameters else f"of {name}"
        silent = f"The logs {whose} hold no dump of hyperparameters"
        silent = silent if standing.has_logs else f"No knobs are known of {name}"
        said = f"{silent}, so knobs cannot be compared"
        return _variables(theirs, said) if theirs else KnobTable([], f"{said}.", name)
    rows = knob_differences(dump, standing.hyperparameters)
    if theirs:
        unsaid = {k: v for k, v in published(theirs).items() if k.lower() not in dump}
        rows += [KnobDifference(k, standing.hyperparameters.get(k.lower()), v) for k, v in sorted(unsaid.items())]
    if not rows:
        return KnobTable([], f"Both dumps of hyperparameters are equal but for {SAME_BUT}.", name)
    also = ", and from the variables that were set" if theirs else ""
    return KnobTable(rows, f"From both dumps of hyperparameters{also}; left out are only {SAME_BUT}.", name)


def _variables(program: Program, said: str, end: str = "") -> KnobTable:
    """The variables that were set, beside the defaults that the source has."""
    known = program.variables or {}
    defaults = {k: known[k].default if k in known else None for k in program.environment}
    rows = [KnobDifference(k, defaults[k], value) for k, value in sorted(published(program).items())]
    told = "these are the variables that were set" if rows else "and no variable was set"
    return KnobTable(rows, f"{said}{';' if rows else ','} {told}{end}.", f"default in {program.script}", "default")
