"""Welch's test, its rounding and its power again, by scipy.stats: what tests/stats/ holds pgolf.stats to."""

import numpy as np
from scipy import stats


def welch(mean_1, std_1, n_1, mean_2, std_2, n_2):
    """(t, df, p) of H1: mean 1 < mean 2."""
    t, p = stats.ttest_ind_from_stats(mean_1, std_1, n_1, mean_2, std_2, n_2, equal_var=False, alternative="less")
    return t, satterthwaite(std_1, n_1, std_2, n_2), p


def satterthwaite(std_1, n_1, std_2, n_2):
    a, b = std_1**2 / n_1, std_2**2 / n_2
    return (a + b) ** 2 / (a**2 / (n_1 - 1) + b**2 / (n_2 - 1))


def interval(gain, std_1, n_1, std_2, n_2):
    """Two-sided 95 % interval of a difference of means."""
    error = np.sqrt(std_1**2 / n_1 + std_2**2 / n_2)
    return stats.t.interval(0.95, satterthwaite(std_1, n_1, std_2, n_2), loc=gain, scale=error)


def p_range(new, old, margin):
    """(least, greatest p) over the corners of the means and a grid of the stds that round to the printed ones."""
    shift = new.mean_rounding + old.mean_rounding
    stds = [np.linspace(max(s.std - s.std_rounding, 1e-12), s.std + s.std_rounding, 33) for s in (new, old)]
    std_1, std_2 = np.meshgrid(*stds, indexing="ij")
    low, high = (
        welch(m + margin, std_1, new.n, old.mean, std_2, old.n)[2] for m in (new.mean - shift, new.mean + shift)
    )
    return min(low.min(), high.min()), max(low.max(), high.max())


def power(std, delta, n_new, n_old, margin, alpha):
    """The chance that the test shows `delta` to be above `margin`, averaged over both sample variances."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    share = (nodes + 1) / 2
    total = 0.0
    for weight, share_new in zip(weights, share, strict=True):
        std_new = np.sqrt(stats.chi2.ppf(share_new, n_new - 1) / (n_new - 1))
        std_old = np.sqrt(stats.chi2.ppf(share, n_old - 1) / (n_old - 1))
        error = np.sqrt(std_new**2 / n_new + std_old**2 / n_old)
        critical = stats.t.isf(alpha, satterthwaite(std_new, n_new, std_old, n_old)) * error
        shown = stats.norm.cdf(((delta - margin) / std - critical) / np.sqrt(1 / n_new + 1 / n_old))
        total += weight * (weights @ shown) / 4
    return total
