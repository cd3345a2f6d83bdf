"""A speedrun's folder: its variants, each with the runs that were made of it.

A variant is a sub-folder with logs (`this_pr/`, `baseline/`), or the folder itself. Its runs have no seeds: they are
told apart by their files and curves.
"""

from dataclasses import dataclass, field

from pgolf.evidence.entry import Copy
from pgolf.evidence.run import Evidence, Run


@dataclass(frozen=True)
class Result:
    """What a run has reached: its last logged validation loss.

    Attributes
    ----------
    loss, decimals : nats per token, and the digits after the point that the log printed.
    step, planned : the step of that loss, and the steps that the run was to make, if the log says.
    seconds : the training clock at that loss; None where the log gives none.
    at : the line.
    """

    loss: float
    decimals: int
    step: int
    planned: int | None
    seconds: float | None
    at: Evidence


@dataclass
class Variant:
    """The runs of one program: `name` is the sub-folder, '' for the folder itself. `baseline`: the name says that it is
    the standing record, run again on the same machine. `unread` says of each log that does not count, why."""

    name: str
    runs: list[Run] = field(default_factory=list)
    baseline: bool = False
    copies: list[Copy] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
