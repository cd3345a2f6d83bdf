"""The power of a number of seeds: the exact power of Welch's test, the smallest gain, the seeds that a gain takes."""

import math
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np

from pgolf.errors import BadInput
from pgolf.stats.sample import LN2, Sample
from pgolf.stats.student import t_quantile
from pgolf.stats.welch import Welch, satterthwaite

POWER = 0.9  # the chance of success that planned numbers of seeds and detectable gains are given for
MOST_SEEDS = 200  # where the search for a number of seeds ends
PRECISION = 1e-9  # of a smallest gain, in standard deviations
_OF_SEEDS = ("seeds", "previous", "the previous record's")
MOST = 1_000_000  # seeds of a side; nobody has so many, and more is beyond the arithmetic


@dataclass(frozen=True)
class Power:
    """The smallest gain that these numbers of seeds can show, and the number that would settle the question.

    Attributes
    ----------
    alpha, power : level of the test and chance of success that the figures are for.
    std_bpb : pooled sample standard deviation of both sides.
    n_new, n_old : seeds of each side; the previous record's stay as they are.
    smallest_delta_bpb, smallest_delta_nats : the smallest true Δ that would be shown to clear the bar.
    seeds_to_settle : new seeds that decide an undecided comparison if the true Δ is the one seen; None
        if no number of them would, or if there is nothing to settle.
    """

    alpha: float
    power: float
    std_bpb: float
    n_new: int
    n_old: int
    smallest_delta_bpb: float
    smallest_delta_nats: float
    seeds_to_settle: int | None


def power_of(new: Sample, old: Sample, margin: float, bar: Welch, b: float, alpha: float) -> Power:
    squares = (new.n - 1) * new.std**2 + (old.n - 1) * old.std**2
    std = math.sqrt(squares / (new.n + old.n - 2))
    smallest = smallest_delta(std, new.n, old.n, margin=margin, alpha=alpha)
    undecided = old.mean - new.mean > margin and bar.p >= alpha
    needed = seeds_needed(std, old.mean - new.mean, old.n, margin=margin, alpha=alpha) if undecided else None
    return Power(alpha, POWER, std, new.n, old.n, smallest, smallest * LN2 * b, needed)


def power(
    std: float, delta: float, n_new: int = 3, n_old: int = 3, *, margin: float = 0.0, alpha: float = 0.01
) -> float:
    """The chance that Welch's one-sided test shows a true gain of `delta` to be above `margin`.

    Both sides are normal with the same standard deviation. The chance is the exact one: given the two sample
    variances the test is a normal probability, which is then averaged over their chi-squared distributions. The
    usual shortcut, a non-central t at fixed df, promises 0.80 where three seeds a side reach 0.64.

    Parameters
    ----------
    std : standard deviation of one seed's score.
    delta : true gain, previous − new, in the unit of `std`.
    n_new, n_old : seeds of each side.
    margin : the bar, in the same unit.
    alpha : level of the test.

    Returns
    -------
    float : between 0 and 1.

    Raises
    ------
    BadInput : std not positive, fewer than two seeds on a side, or alpha outside (0, 0.5].

    References
    ----------
    .. [1] D. G. Nel, C. A. van der Merwe, B. K. Moser, "The exact distributions of the univariate and
       multivariate Behrens-Fisher statistics", Commun. Statist. Theory Meth. 19 (1990) 279-298.

    Examples
    --------
    >>> round(power(0.0002, 0.0008), 2), round(power(0.0002, 0.0008, n_new=5), 2)
    (0.64, 0.82)
    """
    if not (0 < std < math.inf and math.isfinite(delta)):
        raise BadInput(f"std ({std}) must be positive and delta ({delta}) finite")
    if not (2 <= n_new <= MOST and 2 <= n_old <= MOST):
        raise BadInput(f"{n_new} new and {n_old} previous seeds: each side needs two or more, and {MOST:,} at most")
    if not 0 < alpha <= 0.5:
        raise BadInput(f"alpha ({alpha}) must be in (0, 0.5]")
    from scipy.special import ndtr

    critical, weight = _critical_gains(n_new, n_old, alpha)
    chance = ndtr(((delta - margin) / std - critical) / math.sqrt(1 / n_new + 1 / n_old))
    return float(weight @ chance @ weight) / 4


@lru_cache(maxsize=4)  # a search for a gain asks for the same ones at each of its steps
def _critical_gains(n_new: int, n_old: int, alpha: float) -> Any:
    """(the gain in units of std from which the test shows one, float64 `[64 stds of new, 64 of old]`; weights `[64]`).

    The stds are at the nodes of Gauss-Legendre quadrature over the chi-squared distributions' shares.
    """
    from scipy.special import gammaincinv

    node, weight = np.polynomial.legendre.leggauss(64)
    share = (node + 1) / 2  # of the chi-squared distribution below a node
    std_new = np.sqrt(2 * gammaincinv((n_new - 1) / 2, share) / (n_new - 1))[:, None]  # in units of std
    std_old = np.sqrt(2 * gammaincinv((n_old - 1) / 2, share) / (n_old - 1))[None, :]
    error = np.sqrt(std_new**2 / n_new + std_old**2 / n_old)
    return -t_quantile(alpha, satterthwaite(std_new, n_new, std_old, n_old)) * error, weight


def smallest_delta(
    std: float, n_new: int = 3, n_old: int = 3, *, margin: float = 0.0, alpha: float = 0.01, target: float = POWER
) -> float:
    """The smallest true gain that these seeds would show, with the chance `target`, to be above `margin`.

    Parameters
    ----------
    std, n_new, n_old, margin, alpha : as for `power`.
    target : the chance asked for.

    Returns
    -------
    float : in the unit of `std`, the margin included.

    Raises
    ------
    BadInput : as `power`, or target outside (0.5, 1).

    References
    ----------
    .. [1] as for `power`.

    Examples
    --------
    >>> round(smallest_delta(0.0002), 5)
    0.00116
    """
    if not 0.5 < target < 1:
        raise BadInput(f"power ({target}) must be in (0.5, 1)")
    power(std, 0.0, n_new, n_old, alpha=alpha)  # raises BadInput for an invalid std before it scales the answer
    chance = partial(power, 1.0, n_new=n_new, n_old=n_old, alpha=alpha)
    low, high = 0.0, 1.0
    while chance(high) < target:
        high *= 2
    while high - low > PRECISION:  # the chance rises with the gain: halve the interval that it crosses the target in
        middle = (low + high) / 2
        low, high = (middle, high) if chance(middle) < target else (low, middle)
    return margin + std * (low + high) / 2


def seeds_needed(
    std: float, delta: float, n_old: int = 3, *, margin: float = 0.0, alpha: float = 0.01, target: float = POWER
) -> int | None:
    """How many new seeds show a true gain of `delta` to be above `margin`, the previous seeds staying as given.

    Parameters
    ----------
    std, delta, n_old, margin, alpha : as for `power`.
    target : the chance asked for.

    Returns
    -------
    int or None : None if `delta` is not above `margin`, or if no number of new seeds is enough, because the
        previous mean is itself known from only `n_old` seeds.

    Raises
    ------
    BadInput : as `power`.

    References
    ----------
    .. [1] as for `power`.

    Examples
    --------
    >>> seeds_needed(0.0002, 0.001), seeds_needed(0.0002, 0.0004)
    (4, None)
    """
    chance = partial(power, std, delta, n_old=n_old, margin=margin, alpha=alpha)
    chance(n_new=2)  # raises BadInput before an answer of None could hide it
    if delta <= margin:
        return None
    return next((n for n in range(2, MOST_SEEDS + 1) if chance(n_new=n) >= target), None)


@dataclass(frozen=True)
class SeedPlan:
    """An answer to "how many seeds?": values in one unit, bpb or nats.

    `chance` is that of `n_new` seeds to show `delta`; `smallest_delta` is what they show with the chance `target`;
    `seeds_needed` new seeds have that chance for `delta` (None: no number has).
    """

    std: float
    delta: float
    margin: float
    alpha: float
    target: float
    n_new: int
    n_old: int
    chance: float
    smallest_delta: float
    seeds_needed: int | None

    def rows(self, unit: str, of_runs: bool = False) -> list[tuple[str, str]]:
        """The answer as (name, value) pairs, in words for a speedrun's runs or for seeds; `unit`: of the gain."""
        ours, previous, theirs = ("runs", "baseline", "the baseline's") if of_runs else _OF_SEEDS
        if self.seeds_needed is None and self.delta <= self.margin:
            needed = "none would do: the gain is not above the margin"
        elif self.seeds_needed is None:
            needed = f"none would do: {theirs} {self.n_old} leave too much open"
        else:
            needed = str(self.seeds_needed)
        return [
            (f"{ours} needed", f"{needed} (α {self.alpha:g}, power {self.target:g}, {self.n_old} {previous} {ours})"),
            (f"chance of {self.n_new} {ours}", f"{self.chance:.3f}"),
            (f"smallest Δ that {self.n_new} {ours} can show", f"{self.smallest_delta:.3g} {unit}"),
        ]


def plan_seeds(
    std: float,
    delta: float,
    *,
    margin: float = 0.0,
    n_new: int = 3,
    n_old: int = 3,
    alpha: float = 0.01,
    target: float = POWER,
) -> SeedPlan:
    """How many seeds a gain takes, and what the planned ones can show.

    Parameters
    ----------
    std, delta, margin, n_new, n_old, alpha : as for `power`.
    target : the chance of success asked for.

    Returns
    -------
    SeedPlan

    Raises
    ------
    BadInput : as `power`, or target outside (0.5, 1).

    References
    ----------
    .. [1] as for `power`.

    Examples
    --------
    >>> plan_seeds(0.0002, 0.001).seeds_needed
    4
    """
    return SeedPlan(
        std=std,
        delta=delta,
        margin=margin,
        alpha=alpha,
        target=target,
        n_new=n_new,
        n_old=n_old,
        chance=power(std, delta, n_new, n_old, margin=margin, alpha=alpha),
        smallest_delta=smallest_delta(std, n_new, n_old, margin=margin, alpha=alpha, target=target),
        seeds_needed=seeds_needed(std, delta, n_old, margin=margin, alpha=alpha, target=target),
    )
