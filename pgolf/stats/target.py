"""The tests of a speedrun: its losses against a target, its times against the baseline's, and how many runs they take.

Runs have no seeds here: a sample is the last losses, or the times, of the runs of one variant.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pgolf.errors import BadInput
from pgolf.phrases import counted
from pgolf.stats.power import POWER
from pgolf.stats.rounding import range_of_t
from pgolf.stats.student import t_cdf, t_quantile
from pgolf.stats.welch import half_of_interval, welch_of

MOST = 1e12  # a loss or a time beyond this is an error, and its fourth power is still a number
LEAST_STD = 1e-30  # less than this is the arithmetic's, and its fourth power would be 0
FARTHEST = 1e-18  # the chance of a std that is left out at either end
FARTHEST_ERROR = 9.0  # standard errors; the chance of more is below 1e-18
PANELS = 64
MOST_RUNS = 10_000  # where the search for a number of runs ends


@dataclass(frozen=True)
class TargetTest:
    """The one-sided one-sample t-test of losses against a target. H1: the mean is below the target.

    Attributes
    ----------
    mean, std : of the losses, nats per token; std is the sample's (n − 1), 0 for one run.
    n : number of runs.
    target : nats per token.
    t, df, p : of the test; None for fewer than two runs, and where all losses are equal.
    p_range : least and greatest p of all losses that print as these do; None for fewer than two runs. Losses that
        are equal as printed still have one.
    """

    mean: float
    std: float
    n: int
    target: float
    t: float | None
    df: int | None
    p: float | None
    p_range: tuple[float, float] | None

    @property
    def gap(self) -> float:
        """How far the mean is below the target, nats per token; negative above it."""
        return self.target - self.mean

    def runs_to_settle(self, alpha: float, chance: float = POWER) -> int | None:
        """The runs that would show p < alpha with this chance if the true mean and std are the ones seen.

        None if p is below alpha already, the mean is not below the target, the spread is unknown, or MOST_RUNS are
        too few.
        """
        settled = self.p is None or self.p < alpha or self.gap <= 0
        return None if settled else runs_needed(self.std, self.gap, alpha, chance)


def target_test(losses: Sequence[float], target: float, decimals: int) -> TargetTest:
    """Test whether runs reach a target loss: Student's one-sided one-sample test, and the p that rounding allows.

    Parameters
    ----------
    losses : the last validation loss of each run, nats per token.
    target : nats per token.
    decimals : digits after the point that the logs print; of the coarsest log, where they differ.

    Returns
    -------
    TargetTest

    Raises
    ------
    BadInput : no losses, or a loss or a target that is no number or beyond 1e12.

    References
    ----------
    .. [1] Student, "The probable error of a mean", Biometrika 6 (1908) 1-25.

    Examples
    --------
    >>> test = target_test([3.2775, 3.2779, 3.2793, 3.2791, 3.2769], 3.28, 4)
    >>> f"{test.mean:.5f} {test.std:.5f} {test.t:.3f} {test.df} {test.p:.4f}"
    '3.27814 0.00103 -4.025 4 0.0079'
    >>> tuple(f"{p:.4f}" for p in test.p_range)
    ('0.0067', '0.0093')
    """
    values = _checked("loss", losses)
    _checked("target", [target])
    n, mean, std = len(values), math.fsum(losses) / len(values), _std(values)
    t = math.sqrt(n) * (mean - target) / std if std else None
    half = 0.5 * 10.0 ** -min(max(decimals, 0), 300)
    p_range = _p_range(values - target, half, t) if n > 1 else None
    return TargetTest(
        mean=mean,
        std=std,
        n=n,
        target=target,
        t=t,
        df=n - 1 if t is not None else None,
        p=float(t_cdf(t, n - 1)) if t is not None else None,
        p_range=p_range,
    )


def _p_range(values: Any, half: float, t: float | None) -> tuple[float, float]:
    # The printed ones' own t is among them, whatever the arithmetic's last digits say.
    ends = np.array([*range_of_t(values, half), *([] if t is None else [t])])
    p = t_cdf(ends, len(values) - 1)
    return float(p.min()), float(p.max())


@dataclass(frozen=True)
class TimeGain:
    """Welch's one-sided test of training times against the baseline's. H1: the new mean is lower.

    Attributes
    ----------
    mean, std, n : of the new times, seconds.
    base_mean, base_std, base_n : of the baseline's.
    difference : the gain, baseline − new, seconds.
    share : the gain as a share of the baseline's mean; None if that is 0.
    t, df, p : of the test, t negative for a gain; None for fewer than two runs on a side, and where no time differs
        from the others of its side.
    ci95 : two-sided 95 % interval of the gain, seconds; None where p is.
    """

    mean: float
    std: float
    n: int
    base_mean: float
    base_std: float
    base_n: int
    difference: float
    share: float | None
    t: float | None
    df: float | None
    p: float | None
    ci95: tuple[float, float] | None


def time_gain(new: Sequence[float], baseline: Sequence[float]) -> TimeGain:
    """Test whether runs are faster than the baseline's on the same machine.

    Parameters
    ----------
    new, baseline : training times, seconds, one a run.

    Returns
    -------
    TimeGain

    Raises
    ------
    BadInput : no times on a side, or a time that is no number or beyond 1e12.

    References
    ----------
    .. [1] as for `pgolf.stats.comparison.compare`.

    Examples
    --------
    >>> gain = time_gain([79.53, 79.68, 80.23, 79.54], [80.69, 80.31, 80.77])
    >>> f"{gain.difference:.3f} s = {gain.share:.2%}, p = {gain.p:.4f}"
    '0.845 s = 1.05%, p = 0.0059'
    """
    values, base_values = _checked("time", new), _checked("time of the baseline", baseline)
    (mean, std, n), (base_mean, base_std, base_n) = (
        (math.fsum(x) / len(x), _std(x), len(x)) for x in (values, base_values)
    )
    difference = base_mean - mean
    t = df = p = ci95 = None
    if min(n, base_n) > 1 and max(std, base_std) > 0:
        t, df, p = map(float, welch_of(mean, std, n, base_mean, base_std, base_n))
        half = half_of_interval(std, n, base_std, base_n, df)
        ci95 = (difference - half, difference + half)
    return TimeGain(
        mean=mean,
        std=std,
        n=n,
        base_mean=base_mean,
        base_std=base_std,
        base_n=base_n,
        difference=difference,
        share=difference / base_mean if base_mean else None,
        t=t,
        df=df,
        p=p,
        ci95=ci95,
    )


def chance_of(n: int, std: float, gap: float, alpha: float) -> float:
    """The chance that the losses of `n` runs show p < alpha against a target.

    The losses are normal, so that t has a non-central t distribution, and the chance is the exact one.

    Parameters
    ----------
    n : number of runs.
    std : standard deviation of one run's loss, nats per token.
    gap : how far the true mean is below the target, in the unit of `std`; negative above it.
    alpha : level of the test.

    Returns
    -------
    float : between 0 and 1.

    Raises
    ------
    BadInput : std not positive, a number beyond 1e12, fewer than 2 or more than 10,000 runs, or alpha outside (0, 0.5].

    References
    ----------
    .. [1] N. L. Johnson, B. L. Welch, "Applications of the non-central t-distribution", Biometrika 31 (1940) 362-389.

    Examples
    --------
    >>> round(chance_of(10, 0.0015, 0.0015, 0.01), 3)
    0.639
    """
    if not (0 < std <= MOST and abs(gap) <= MOST):
        raise BadInput(f"std ({std}) must be positive, and the gap to the target ({gap}) a number, within {MOST:g}")
    if not 2 <= n <= MOST_RUNS:
        raise BadInput(f"{counted(n, 'run')}: a test takes two or more, and {MOST_RUNS:,} at most")
    if not 0 < alpha <= 0.5:
        raise BadInput(f"alpha ({alpha}) must be in (0, 0.5]")
    return _chance_below(t_quantile(alpha, n - 1), n - 1, gap / std * math.sqrt(n))


def _chance_below(t: float, df: int, shift: float) -> float:
    """The chance of a t of at most `t` (<= 0), where the mean is `shift` standard errors below the target.

    `scipy.special.nctdtr` has no value for large t. Here, given the mean's error, the std is small enough with a chance
    that the chi-squared distribution gives; that is averaged over the error, a panel of Gauss-Legendre at a time.
    """
    from scipy.special import gammainc, gammainccinv, gammaincinv, ndtr

    half = df / 2
    std = np.sqrt(np.array([gammaincinv(half, FARTHEST), gammainccinv(half, FARTHEST)]) / half)  # least, greatest
    least, most = np.clip(std * -t - shift, -FARTHEST_ERROR, FARTHEST_ERROR)  # between them, the std decides
    chance = ndtr(-most)
    if least < most:
        edges = np.linspace(least, most, PANELS + 1)
        node, weight = np.polynomial.legendre.leggauss(16)
        width = (most - least) / PANELS / 2
        error = edges[:-1, None] + width * (node + 1)
        density = np.exp(-(error**2) / 2) / math.sqrt(2 * math.pi)
        chance += width * ((gammainc(half, half * ((error + shift) / t) ** 2) * density) @ weight).sum()
    return min(1.0, float(chance))


def runs_needed(std: float, gap: float, alpha: float, chance: float) -> int | None:
    """How many runs show p < alpha against a target, with a chance asked for.

    Parameters
    ----------
    std, gap, alpha : as for `chance_of`.
    chance : of success.

    Returns
    -------
    int or None : None if the true mean is not below the target, or if 10,000 runs are too few.

    Raises
    ------
    BadInput : as `chance_of`, or a chance outside (0.5, 1).

    References
    ----------
    .. [1] as for `chance_of`.

    Examples
    --------
    >>> runs_needed(0.0016, 0.0013, 0.01, 0.9), runs_needed(0.0016, -0.0013, 0.01, 0.9)
    (23, None)
    """
    if not 0.5 < chance < 1:
        raise BadInput(f"the chance ({chance}) must be in (0.5, 1)")
    low, high = 2, MOST_RUNS
    if chance_of(high, std, gap, alpha) < chance:
        return None
    while low < high:  # the chance rises with the number of runs
        middle = (low + high) // 2
        low, high = (middle + 1, high) if chance_of(middle, std, gap, alpha) < chance else (low, middle)
    return low


def _checked(what: str, values: Sequence[float]) -> Any:
    """The values as float64 `[n]`."""
    if not len(values):
        raise BadInput(f"no {what} is given")
    if bad := next((x for x in values if not abs(x) <= MOST), None):
        raise BadInput(f"a {what} of {bad} is no number within ±{MOST:g}")
    return np.asarray(values, dtype=np.float64)


def _std(values: Any) -> float:
    """The sample standard deviation; 0 for one value, and for equal ones."""
    std = float(values.std(ddof=1)) if values.min() < values.max() else 0.0
    return std if std > LEAST_STD else 0.0
