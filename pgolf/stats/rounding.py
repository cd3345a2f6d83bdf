"""The t that a sample may have had before its values were rounded: the exact extremes over all samples in a box."""

import math
from typing import Any

import numpy as np

HALVINGS = 200  # of an interval of floats, until nothing is between its ends


def range_of_t(values: Any, half: float) -> tuple[float, float]:
    """Least and greatest one-sample t, against 0, of all samples within half a unit of the printed one.

    Parameters
    ----------
    values : float64 `[n]`, n >= 2: the printed values, less the mean that they are tested against.
    half : how far each value may be from what is printed, in the unit of `values`.

    Returns
    -------
    (float, float) : infinite where the values may all be equal: then t has no bound, and p may be 0 or 1.

    Notes
    -----
    t rises with the cosine r between the sample and the diagonal (1, …, 1). Where a sum above 0 is possible, the
    greatest r is at a sample with all values as near to one number c as the box allows; r is pseudo-concave there, so
    that c = Σx²/Σx, where its slope is 0, is the greatest of all. Where no sum is above 0, r is greatest at a corner:
    given how many values are rounded up, the sum is fixed, and t is greatest where the squares are, that is where the
    largest values are rounded up and the smallest down. That leaves n + 1 corners.

    Examples
    --------
    >>> low, high = range_of_t(np.array([-3.0, -1.0, -2.0]), 0.5)
    >>> f"{low:.3f} {high:.3f}"
    '-7.000 -2.079'
    """
    least, greatest = -_greatest(-values, half), _greatest(values, half)
    return least, greatest


def _greatest(values: Any, half: float) -> float:
    if math.fsum(values + half) > 0:
        return _greatest_inside(values - half, values + half)
    return _greatest_at_corners(values, half)


def _greatest_inside(low: Any, high: Any) -> float:
    """The greatest t of a sample between `low` and `high`, where a sum above 0 is possible."""
    if high.min() > 0 and low.max() <= high.min():
        return math.inf
    below, above = 0.0, max(float(high.max()), float(high @ high) / math.fsum(high))
    for _ in range(HALVINGS):
        middle = (below + above) / 2
        if not below < middle < above:
            break
        nearest = np.clip(middle, low, high)
        rising = float(nearest @ (nearest - middle)) > 0
        below, above = (middle, above) if rising else (below, middle)
    return _t(np.clip(above, low, high))


def _greatest_at_corners(values: Any, half: float) -> float:
    """The greatest t of a sample within `half` of the values, where no sum is above 0."""
    n = len(values)
    mean = math.fsum(values) / n
    from_mean = np.sort(values - mean)[::-1]
    up = np.arange(n + 1)  # the largest so many are rounded up, the others down
    shift = half * (2 * up - n) / n
    product = 2 * np.concatenate([[0.0], np.cumsum(from_mean)])  # of the values and the signs of their rounding
    squares = float(from_mean @ from_mean) + 2 * half * product + n * (half - shift) * (half + shift)
    squares = np.maximum(squares, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.sqrt(n * (n - 1)) * (mean + shift) / np.sqrt(squares)
    return float(np.where(np.isnan(t), -math.inf, t).max())


def _t(values: Any) -> float:
    n = len(values)
    std = float(values.std(ddof=1))
    mean = math.fsum(values) / n
    return math.sqrt(n) * mean / std if std else math.copysign(math.inf, mean)
