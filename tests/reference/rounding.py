"""The extremes of a one-sample t over a box by trying samples: grids of all values, ever finer around the best."""

import itertools

import numpy as np

POINTS = 7  # of a grid along each value; odd, so that its ends and its middle are among them
ROUNDS = 40


def range_of_t(printed, target, half):
    """(least, greatest) t of samples that print as these do."""
    return -_greatest([-x for x in printed], -target, half), _greatest(printed, target, half)


def _greatest(printed, target, half):
    low, high = (np.array([x + sign * half for x in printed]) for sign in (-1, 1))
    corners = np.array(list(itertools.product(*zip(low, high, strict=True))))
    best = corners[np.nanargmax(_t(corners, target))]
    centre, reach = (low + high) / 2, (high - low) / 2
    for _ in range(ROUNDS):
        sides = zip(centre, reach, low, high, strict=True)
        around = [np.clip(c + r * np.linspace(-1, 1, POINTS), least, most) for c, r, least, most in sides]
        grid = np.array([best, *itertools.product(*around)])
        best = centre = grid[np.nanargmax(_t(grid, target))]
        reach = reach * 0.6
    return _t(best[None], target)[0]


def _t(samples, target):
    with np.errstate(divide="ignore", invalid="ignore"):
        std = samples.std(axis=1, ddof=1)
        return np.sqrt(samples.shape[1]) * (samples.mean(axis=1) - target) / std
