"""The time that the probes of one evaluator may take together: it measures passes, and says what still fits."""

import math
import time
from dataclasses import dataclass, field

from pgolf.errors import RunFailed

PATIENCE_S = 30.0  # that an evaluator may always be silent
LONG = 20  # times the longest pass: a silence that is as long has no end
PASSES = 60  # of a stream whose length is not given, that have to fit into a budget
PASSES_GIVEN = 20  # of one whose length is given


class OutOfTime(RunFailed):
    """The budget ends before a pass does, of an evaluator whose passes come to their end."""


@dataclass
class Budget:
    """Seconds for all probes of an evaluator, from now on; without a number, all the time in the world.

    `longest` is the time of the longest pass that came to its end, 0 before there was one.
    """

    seconds: float = math.inf
    longest: float = 0.0
    end: float = field(init=False)

    def __post_init__(self) -> None:
        self.end = time.monotonic() + self.seconds

    @property
    def left(self) -> float:
        return self.end - time.monotonic()

    def fits(self, passes: float, until: float = math.inf) -> bool:
        """Whether so many passes can end before `until`, and before the budget does."""
        return time.monotonic() + 1.1 * passes * self.longest < min(until, self.end)

    @property
    def silence(self) -> float:
        """Seconds that an evaluator may take for one answer."""
        most = LONG * self.longest if self.longest else self.seconds / 4
        return max(PATIENCE_S, most)

    def part(self, parts: int) -> float:
        """When the first of so many equal parts of what is left ends; time for a few passes is put by."""
        put_by = min(12 * self.longest + 12, self.left / 3)
        return time.monotonic() + (self.left - put_by) / parts if self.seconds < math.inf else math.inf

    def affordable(self, shorter: tuple[int, float], longer: tuple[int, float], passes: int) -> int:
        """The positions of a stream of which so many passes fit, by two passes: (positions, seconds) of each."""
        each = max((longer[1] - shorter[1]) / (longer[0] - shorter[0]), 1e-9)
        always = max(0.0, shorter[1] - each * shorter[0])
        return int((self.seconds / passes - always) / each)
