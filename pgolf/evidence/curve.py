"""Logged losses in bounded memory."""

from pgolf.evidence.run import CurvePoint, Evidence

MOST_POINTS = 4096
FIRST_POINTS = 64  # never thinned out: they are a run's fingerprint


class Curve:
    """Logged losses in bounded memory: all of the beginning, then ever fewer of the rest, and the last."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.points: list[CurvePoint] = []
        self.seen, self.stride = 0, 1
        self.latest: tuple[int, float, float | None, int, int] | None = None

    def add(self, step: int, loss: float, seconds: float | None, line: int, decimals: int = 0) -> None:
        self.seen, self.latest = self.seen + 1, (step, loss, seconds, line, decimals)
        if self.seen % self.stride == 0:
            self.points.append(self._point(self.latest))
            if len(self.points) >= MOST_POINTS:
                self.stride *= 2
                self.points[FIRST_POINTS:] = self.points[FIRST_POINTS::2]

    def _point(self, latest: tuple[int, float, float | None, int, int]) -> CurvePoint:
        step, loss, seconds, line, decimals = latest
        return CurvePoint(step, loss, seconds, Evidence(self.name, line), decimals)

    def so_far(self) -> list[CurvePoint]:
        """The points, with the last one among them."""
        last = [self._point(self.latest)] if self.latest and self.seen % self.stride else []
        return self.points + last
