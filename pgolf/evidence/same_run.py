"""Runs that have no seeds, told apart: logs of one run, and runs that repeat another one.

Two honest runs of one program share more than one would think: the loss before training, which is the logarithm of
the vocabulary where the last layer begins at zero, the order of the data, and single later losses by chance. In 58
public logs of eight folders no two runs of a variant share over three of 7 to 40 validation losses, the first one
among them; a deviation of 0.0015 between runs, printed to 0.0001, lets one in fifty pairs share a final loss. So whole
curves decide:

- One run: the clock, too, is equal at its losses. It runs in milliseconds, and after ten seconds no two runs have the
  same one at three losses, be they by one deterministic program; of shorter runs only equal bytes tell a copy. An
  edited copy differs in some of them: five equal clocks, and more than half of those at steps of both, are one run too.
- Repeated: each loss is equal, but the clock is not. A program with a fixed seed on deterministic kernels does that
  honestly, but such runs are one draw, and a test that takes them for several is wrong; or the times were edited. More
  than half of the losses, and five at least, tell the same: in those public logs two at most are equal, and one clock.
- Begun alike: the first training losses are equal to all digits, the later ones are not. That is a fixed seed on
  kernels that are not deterministic: an honest rerun, whose losses vary less than those of fresh draws.
"""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from pgolf.evidence.run import CurvePoint, Run

ENOUGH = 3  # losses with their clocks that no two runs share; also of a log that ends before the other
TELLING_S = 10.0  # seconds after which the clocks of two runs differ by more than they print
FEWEST_LOSSES = 5  # without clocks, or with others: losses after the first that no two draws share
FIRST_STEPS = range(2, 7)  # of training, whose losses a seed decides; that of step 1 is often no run's own
ALIKE = 5  # equal losses or clocks of two logs, beside more than half of the common ones, that make them one run's
BEGINNING = 20  # steps of training whose losses a seed may decide: they tell nothing of a copy
FEWEST_DECIMALS = 4  # of a loss that no two runs share often
MOST_HOLDERS = 64  # runs with one and the same loss at a step that are compared with a further one


What = Literal["clock", "losses"]


@dataclass(frozen=True)
class Alike:
    """What a run has in common with `run`: `equal` clocks or losses, of `common` ones that both log."""

    run: Run
    what: What
    equal: int
    common: int


@dataclass(frozen=True)
class Repeat:
    """A run with the losses of another: of the whole validation `curve`, of `most` of the losses that both log, or of
    its training's `beginning` only. `common` is the number that both log."""

    file: str
    of: str
    losses: int
    what: Literal["curve", "most", "beginning"]
    common: int


Point = tuple[str, int, float]  # of a curve: which, the step, and the loss or the seconds


class Seen:
    """Runs that have been seen, found again by single losses and clocks: 80 runs of 1,400 points compare at once."""

    def __init__(self) -> None:
        self._runs: list[tuple[Run, dict[What, frozenset[Point]]]] = []
        self._places: dict[frozenset[Point], frozenset[Point]] = {}  # mostly one and the same of all runs
        self._holders: dict[tuple[What, Point], list[int]] = {}

    def add(self, run: Run) -> None:
        """Take in a run."""
        points = _points(run)
        for key in ((what, point) for what in points for point in points[what]):
            holders = self._holders.setdefault(key, [])
            if len(holders) < MOST_HOLDERS:
                holders.append(len(self._runs))
        self._runs.append((run, {what: self._steps(points[what]) for what in points}))

    def alike(self, run: Run) -> Iterator[Alike]:
        """The runs that share most of their clocks, or else of their losses, with this one, in the order of `add`."""
        points, found = _points(run), dict[int, Alike]()
        for what in points:
            steps = self._steps(points[what])
            shared = Counter(i for point in points[what] for i in self._holders.get((what, point), ()))
            for index, equal in shared.items():
                other, theirs = self._runs[index]
                if equal < ALIKE or index in found:
                    continue
                common = len(steps if steps is theirs[what] else steps & theirs[what])
                if 2 * equal > common:
                    found[index] = Alike(other, what, equal, common)
        yield from (found[index] for index in sorted(found))

    def _steps(self, points: set[Point]) -> frozenset[Point]:
        """The places of points on their curves."""
        places = frozenset((of, step, 0.0) for of, step, _ in points)
        return self._places.setdefault(places, places)


def _points(run: Run) -> dict[What, set[Point]]:
    """The clocks and the losses that chance does not make equal: late ones, printed to enough digits."""
    curves = {"val": _after_the_first(run.val_curve), "train": _after_the_first(run.train_curve)}
    curves["train"] = [p for p in curves["train"] if p.step > BEGINNING]
    timed = [(p.step, p.seconds) for curve in curves.values() for p in curve if p.seconds and math.isfinite(p.seconds)]
    late = {("clock", step, round(seconds, 3)) for step, seconds in timed if seconds >= TELLING_S}
    losses = {(of, p.step, p.loss) for of, curve in curves.items() for p in curve if p.decimals >= FEWEST_DECIMALS}
    moves = len({loss for _, _, loss in losses}) >= ALIKE  # a run that is stuck shares its one loss with others
    return {"clock": late if _fine(s for _, s in timed) else set(), "losses": losses if moves else set()}


def _fine(clocks: Iterable[float]) -> bool:
    """Whether clocks in seconds are printed in milliseconds: not in whole seconds, or in hundredths."""
    return any(round(1000 * s) % 10 for s in clocks if math.isfinite(s))


def clocked(run: Run) -> Hashable:
    """Equal for logs of one run, also where one of them is cut off; None of a run that tells too little."""
    points = _after_the_first(run.val_curve)
    timed = [(p.step, p.loss, p.seconds) for p in points[:ENOUGH] if p.seconds is not None]
    if points and len(timed) == len(points[:ENOUGH]):
        late = [p.seconds for p in points[:ENOUGH] if p.seconds is not None and p.seconds >= TELLING_S]
        return ("clock", *timed) if (len(timed) == ENOUGH and late) or (len(late) > 1 and _fine(late)) else None
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
            yield Repeat(name, curves[curve], len(curve), "curve", len(curve))
        elif beginning and beginning in beginnings:
            yield Repeat(name, beginnings[beginning], len(beginning), "beginning", len(beginning))
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
