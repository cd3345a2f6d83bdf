"""How many runs a target takes, and what the planned ones can show."""

from dataclasses import dataclass

from pgolf.errors import BadInput
from pgolf.phrases import counted
from pgolf.stats.power import POWER, PRECISION
from pgolf.stats.target import MOST_RUNS, chance_of, runs_needed


def smallest_gap(std: float, n: int, alpha: float, chance: float = POWER) -> float:
    """The smallest gap below a target that `n` runs would show at p < alpha, with a chance asked for.

    Parameters
    ----------
    std, n, alpha : as for `pgolf.stats.target.chance_of`.
    chance : of success.

    Returns
    -------
    float : in the unit of `std`.

    Raises
    ------
    BadInput : as `chance_of`, or a chance outside (0.5, 1).

    Examples
    --------
    >>> round(smallest_gap(0.0016, 14, 0.01), 5)
    0.00173
    """
    if not 0.5 < chance < 1:
        raise BadInput(f"the chance ({chance}) must be in (0.5, 1)")
    chance_of(n, std, 0.0, alpha)  # raises BadInput for an invalid std before it scales the answer
    low, high = 0.0, 1.0
    while chance_of(n, 1.0, high, alpha) < chance:
        high *= 2
    while high - low > PRECISION:  # the chance rises with the gap
        middle = (low + high) / 2
        low, high = (middle, high) if chance_of(n, 1.0, middle, alpha) < chance else (low, middle)
    return std * (low + high) / 2


@dataclass(frozen=True)
class RunPlan:
    """An answer to "how many runs below a target?": losses in nats per token.

    `chance` is that of `runs` runs to show that `mean` is below `target`; `smallest_gap` is how far below the target
    they show a mean with the chance `asked`; `runs_needed` runs have that chance for `mean` (None: no number has).
    """

    target: float
    mean: float
    std: float
    alpha: float
    asked: float
    runs: int
    chance: float
    smallest_gap: float
    runs_needed: int | None

    def rows(self) -> list[tuple[str, str]]:
        """The answer as (name, value) pairs."""
        if self.runs_needed is None and self.mean >= self.target:
            needed = "no number would do: the mean is not below the target"
        elif self.runs_needed is None:
            needed = f"more than {MOST_RUNS:,}"
        else:
            needed = str(self.runs_needed)
        highest = f"{self.target - self.smallest_gap:.5f} = {self.target:g} − {self.smallest_gap:.3g}"
        return [
            ("runs needed", f"{needed} (target {self.target:g}, α {self.alpha:g}, power {self.asked:g})"),
            (f"chance of {counted(self.runs, 'run')}", f"{self.chance:.3f}"),
            (f"highest mean that {counted(self.runs, 'run')} can show", highest),
        ]


def plan_runs(
    target: float, mean: float, std: float, *, runs: int = 10, alpha: float = 0.01, chance: float = POWER
) -> RunPlan:
    """How many runs show that a mean loss is below a target, and what the planned ones can show.

    Parameters
    ----------
    target : the loss to get below, nats per token.
    mean, std : true mean and standard deviation of a run's last loss that are assumed, nats per token.
    runs : number of runs that are planned.
    alpha : level of the one-sided one-sample test.
    chance : of success, asked for.

    Returns
    -------
    RunPlan

    Raises
    ------
    BadInput : as `pgolf.stats.target.chance_of`, or a chance outside (0.5, 1).

    Examples
    --------
    >>> plan_runs(3.28, 3.2787, 0.0016).runs_needed
    23
    """
    return RunPlan(
        target=target,
        mean=mean,
        std=std,
        alpha=alpha,
        asked=chance,
        runs=runs,
        chance=chance_of(runs, std, target - mean, alpha),
        smallest_gap=smallest_gap(std, runs, alpha, chance),
        runs_needed=runs_needed(std, target - mean, alpha, chance),
    )
