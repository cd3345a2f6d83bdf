"""Which change brought what: the knobs in which two presets differ, one at a time and all together, over seeds.

Each figure is a mean over seeds of differences of equal seeds (same weights and batches at the start), with Student's
interval. One effect alone and all effects together are measured against the same base, so their difference, what the
changes do to one another, has an interval of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pgolf.errors import BadInput
from pgolf.stats.student import t_quantile
from pgolf.sweep.candidates import Candidate

LEVEL = 0.95


@dataclass(frozen=True)
class Effect:
    """A gain in bpb, base − changed (positive is better): mean over `n` seeds, 95 % interval by itself, and the
    interval that holds for all rows of the table at once (Bonferroni)."""

    label: str
    gain: float
    interval: tuple[float, float]
    joint: tuple[float, float]
    n: int

    @property
    def shown(self) -> bool:
        """Whether the joint interval leaves zero out."""
        return self.joint[0] > 0 or self.joint[1] < 0


def attribute(
    base: Mapping[int, float], singles: Mapping[Candidate, Mapping[int, float]], together: Mapping[int, float]
) -> list[Effect]:
    """The table: each single change, their sum, all together, and what is left between those two.

    Parameters
    ----------
    base, together : val_bpb by seed, without and with all changes.
    singles : the same with each change alone.

    Raises
    ------
    BadInput : fewer than two seeds, or other seeds in one than in another: there would be no interval.
    """
    seeds = sorted(base)
    for scores in (*singles.values(), together):
        if sorted(scores) != seeds or len(seeds) < 2:
            raise BadInput(f"seeds {sorted(scores)} beside {seeds}: an interval takes two or more, the same for all")
    gains = {c.label: _differences(base, scores, seeds) for c, scores in singles.items()}
    everything = _differences(base, together, seeds)
    if len(gains) == 1:
        return _effects(gains)
    total = np.sum(list(gains.values()), axis=0)
    rows = {"sum of these": total, "all together": everything, "all together − sum": everything - total}
    return _effects(gains | rows)


def _differences(base: Mapping[int, float], changed: Mapping[int, float], seeds: Sequence[int]) -> np.ndarray:
    """float64 `[seeds]`"""
    return np.array([base[s] - changed[s] for s in seeds])


def _effects(rows: Mapping[str, np.ndarray]) -> list[Effect]:
    return [
        Effect(label, float(d.mean()), interval(d, LEVEL), interval(d, 1 - (1 - LEVEL) / len(rows)), len(d))
        for label, d in rows.items()
    ]


def interval(differences: np.ndarray, level: float) -> tuple[float, float]:
    """Student's two-sided interval of a mean.

    Examples
    --------
    >>> low, high = interval(np.array([0.9, 1.0, 1.1]), 0.95)
    >>> round(low, 3), round(high, 3)
    (0.752, 1.248)
    """
    n, mean = len(differences), float(differences.mean())
    half = float(t_quantile((1 + level) / 2, n - 1) * differences.std(ddof=1) / np.sqrt(n))
    return mean - half, mean + half
