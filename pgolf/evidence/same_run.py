"""Runs that have no seeds, told apart: logs of one run, and runs that repeat another one.

Two honest runs of one program share more than one would think: the loss before training, which is the logarithm of
the vocabulary where the last layer begins at zero, the order of the data, and single later losses by chance. In 58
public logs of eight folders no two runs of a variant share over three of 7 to 40 validation losses, the first one
among them; a deviation of 0.0015 between runs, printed to 0.0001, lets one in fifty pairs share a final loss. So whole
curves decide:

- One run: the clock, too, is equal at its losses. It runs in milliseconds, and after ten seconds no two runs have the
  same one at three losses, be they by one deterministic program; of shorter runs only equal bytes tell a copy.
- Repeated: each loss is equal, but the clock is not. A program with a fixed seed on deterministic kernels does that
  honestly, but such runs are one draw, and a test that takes them for several is wrong; or the times were edited.
- Begun alike: the first training losses are equal to all digits, the later ones are not. That is a fixed seed on
  kernels that are not deterministic: an honest rerun, whose losses vary less than those of fresh draws.
"""

import math
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Literal

from pgolf.evidence.run import CurvePoint, Run

ENOUGH = 3  # losses with their clocks that no two runs share; also of a log that ends before the other
TELLING_S = 10.0  # seconds after which the clocks of two runs differ by more than they print
FEWEST_LOSSES = 5  # without clocks, or with others: losses after the first that no two draws share
FIRST_STEPS = range(2, 7)  # of training, whose losses a seed decides; that of step 1 is often no run's own


@dataclass(frozen=True)
class Repeat:
    """A run with the losses of another: of the whole validation `curve`, or of its training's `beginning` only."""

    file: str
    of: str
    losses: int
    what: Literal["curve", "beginning"]


def clocked(run: Run) -> Hashable:
    """Equal for logs of one run, also where one of them is cut off; None of a run that tells too little."""
    points = _after_the_first(run.val_curve)
    timed = [(p.step, p.loss, p.seconds) for p in points[:ENOUGH] if p.seconds is not None]
    if points and len(timed) == len(points[:ENOUGH]):
        return ("clock", *timed) if (timed[-1][2] or 0.0) >= TELLING_S else None
    trained = [(p.step, p.loss) for p in run.train_curve[:20]]
    losses = [(p.step, p.loss) for p in points]
    return ("losses", *losses, *trained) if len(losses) + len(trained) > FEWEST_LOSSES else None


def repeated(runs: list[Run], name_of: Callable[[Run], str]) -> Iterator[Repeat]:
    """The runs that repeat one before them, by name."""
    curves: dict[Hashable, str] = {}
    beginnings: dict[Hashable, str] = {}
    for run in sorted(runs, key=name_of):
        name, curve, beginning = name_of(run), _curve(run), _beginning(run)
        if curve and curve in curves:
            yield Repeat(name, curves[curve], len(curve), "curve")
        elif beginning and beginning in beginnings:
            yield Repeat(name, beginnings[beginning], len(beginning), "beginning")
        if curve:
            curves.setdefault(curve, name)
        if beginning:
            beginnings.setdefault(beginning, name)


def _after_the_first(points: list[CurvePoint]) -> list[CurvePoint]:
    return [p for p in points if p.step > 0 and math.isfinite(p.loss)]


def _curve(run: Run) -> tuple[tuple[int, float], ...]:
    points = tuple((p.step, p.loss) for p in _after_the_first(run.val_curve))
    return points if len(points) >= FEWEST_LOSSES else ()


def _beginning(run: Run) -> tuple[tuple[int, float], ...]:
    """The first training losses, where these are enough and move."""
    points = tuple((p.step, p.loss) for p in _after_the_first(run.train_curve) if p.step in FIRST_STEPS)
    return points if len(points) >= FEWEST_LOSSES and len({loss for _, loss in points}) >= FEWEST_LOSSES else ()
