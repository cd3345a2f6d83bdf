"""Welch's one-sided test of two samples' means, and the p that the rounding of a published summary allows."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pgolf.stats.sample import Sample
from pgolf.stats.student import t_cdf, t_quantile


@dataclass(frozen=True)
class Welch:
    """One Welch test: t, Welch–Satterthwaite df, one-sided p, and the p that rounding of a summary allows."""

    t: float
    df: float
    p: float
    p_range: tuple[float, float] | None


def welch_test(new: Sample, old: Sample, margin: float = 0.0) -> Welch:
    """The test of H1: new mean + margin < old mean; both stds are positive."""
    t, df, p = welch_of(new.mean + margin, new.std, new.n, old.mean, old.std, old.n)
    return Welch(float(t), float(df), float(p), _p_range(new, old, margin))


def welch_of(mean_1: Any, std_1: Any, n_1: int, mean_2: Any, std_2: Any, n_2: int) -> tuple[Any, Any, Any]:
    """(t, df, p) of H1: mean 1 < mean 2, of numbers or arrays; a std is positive on one side at least."""
    df = satterthwaite(std_1, n_1, std_2, n_2)
    t = (mean_1 - mean_2) / np.sqrt(std_1**2 / n_1 + std_2**2 / n_2)
    return t, df, t_cdf(t, df)


def satterthwaite(std_1: Any, n_1: int, std_2: Any, n_2: int) -> Any:
    """Welch–Satterthwaite degrees of freedom of numbers or arrays."""
    a, b = std_1**2 / n_1, std_2**2 / n_2
    return (a + b) ** 2 / (a**2 / (n_1 - 1) + b**2 / (n_2 - 1))


def interval_of_gain(new: Sample, old: Sample, df: float) -> tuple[float, float]:
    """Two-sided 95 % interval of previous mean − new mean, in bpb; `df` of their Welch test."""
    half = half_of_interval(new.std, new.n, old.std, old.n, df)
    return old.mean - new.mean - half, old.mean - new.mean + half


def half_of_interval(std_1: float, n_1: int, std_2: float, n_2: int, df: float) -> float:
    """Half the width of the two-sided 95 % interval of a difference of means, in the unit of the stds."""
    return float(t_quantile(0.975, df)) * math.hypot(std_1 / math.sqrt(n_1), std_2 / math.sqrt(n_2))


def _p_range(new: Sample, old: Sample, margin: float) -> tuple[float, float] | None:
    """Least and greatest p over all samples that round to the printed ones; None if neither is a summary."""
    if not (new.rounded or old.rounded):
        return None
    # p rises with the difference of means, but a std moves df too: walk the stds instead of trusting corners.
    shift = new.mean_rounding + old.mean_rounding
    means = np.array([new.mean - shift, new.mean + shift]) + margin
    stds = [np.linspace(max(s.std - s.std_rounding, 1e-12), s.std + s.std_rounding, 33) for s in (new, old)]
    mean, new_std, old_std = np.meshgrid(means, *stds, indexing="ij")
    p = welch_of(mean, new_std, new.n, old.mean, old_std, old.n)[2]
    return float(p.min()), float(p.max())
