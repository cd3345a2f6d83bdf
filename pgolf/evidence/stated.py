"""Lists of losses and times that a speedrun's README gives: read strictly, each with its line."""

from dataclasses import dataclass

from pgolf.evidence.run import Evidence


@dataclass(frozen=True)
class StatedList:
    """Numbers that a README gives of the runs of a variant, one a run, in its order.

    Attributes
    ----------
    values, decimals : nats per token or seconds, and the most digits after the point that one of them has.
    variant : the sub-folder that the text names; None where it names none.
    at : the line where the list begins.
    """

    values: tuple[float, ...]
    decimals: int
    variant: str | None
    at: Evidence


@dataclass(frozen=True)
class StatedFigure:
    """A mean, a standard deviation or a p-value that a README gives; fields as in `StatedList`."""

    value: float
    decimals: int
    variant: str | None
    at: Evidence


@dataclass(frozen=True)
class Stated:
    """What a README says of its runs: lists, and what their author has worked out of them."""

    losses: tuple[StatedList, ...] = ()
    times: tuple[StatedList, ...] = ()
    loss_means: tuple[StatedFigure, ...] = ()
    loss_stds: tuple[StatedFigure, ...] = ()
    time_means: tuple[StatedFigure, ...] = ()
    time_stds: tuple[StatedFigure, ...] = ()
    p_values: tuple[StatedFigure, ...] = ()
