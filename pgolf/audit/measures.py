"""The hard limits of a track beside what the seeds used of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pgolf.evidence.run import Run
from pgolf.tracks import Track


def train_and_calibration(run: Run) -> float | None:
    """Seconds that count as training: the timer's, and those of reading training data for quantisation."""
    if run.train_seconds is None or (run.calibration and run.calibration_seconds is None):
        return None
    return run.train_seconds.value + (run.calibration_seconds.value if run.calibration_seconds else 0.0)


def artifact_bytes(run: Run) -> int | None:
    """Bytes of code and model together."""
    return run.artifact_bytes.value if run.artifact_bytes else None


@dataclass(frozen=True)
class Limit:
    """A hard limit beside the largest value of any seed; None is unknown."""

    what: str
    unit: str
    allowed: float
    largest: float | None
    seed: int | None

    @property
    def margin(self) -> float | None:
        """What is left below the limit."""
        return None if self.largest is None else self.allowed - self.largest


def limits_of(track: Track, runs: Sequence[Run]) -> list[Limit]:
    """Every limit of the track; the largest value is unknown where one seed's is."""
    limits = track.limits
    measured: list[tuple[str, str, float, Callable[[Run], float | None]]] = [
        ("code and model", "bytes", limits.artifact_bytes, artifact_bytes),
        ("training", "s", limits.train_seconds, lambda r: r.train_seconds.value if r.train_seconds else None),
        ("training and calibration", "s", limits.train_seconds, train_and_calibration),
        ("evaluation, all passes scored from the artifact", "s", limits.eval_seconds, lambda r: r.eval_seconds),
    ]
    rows = []
    for what, unit, allowed, measure in measured:
        values = [(v, r.seed.value if r.seed else None) for r in runs if (v := measure(r)) is not None]
        known = values and len(values) == len(runs)
        largest, seed = max(values, key=lambda x: x[0]) if known else (None, None)
        rows.append(Limit(what, unit, allowed, largest, seed))
    return rows
