"""The hard limits of a track, and whether a run keeps them. Every check, flag, page, rule and verdict asks here.

A time over its limit by no more than the track's grace is a warning and stops no record: trainers stop after the step
that crosses the cap. Sizes have no grace.
"""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pgolf.evidence.run import Evidence, Run, Sourced
from pgolf.tracks import Limits

Status = Literal["pass", "warn", "fail", "unknown", "does not apply"]  # the last: on this track nobody asks for it
WORST_FIRST: tuple[Status, ...] = ("fail", "unknown", "warn", "pass", "does not apply")


@dataclass(frozen=True)
class Measure:
    """How much one run used of a hard limit.

    Attributes
    ----------
    what : what is limited, in words.
    unit : of `limit`, `value`, `grace` and `diagnostic`.
    value : how much was used; None is unknown.
    grace : how far over the limit is a warning, not a failure.
    diagnostic : the part of `value` in passes that the log calls diagnostic; without it a limit is not missed.
    seed : of the run; None if unknown.
    evidence : where the value was read.

    Examples
    --------
    >>> over = Measure("training", "s", 600.0, 600.5, grace=1.0)
    >>> over.status, over.judged, over.said
    ('warn', 'inside the grace of 1 s', '600.500 s of 600 s, inside the grace of 1 s')
    """

    what: str
    unit: Literal["bytes", "s"]
    limit: float
    value: float | None
    grace: float = 0.0
    diagnostic: float = 0.0
    seed: int | None = None
    evidence: tuple[Evidence, ...] = ()

    @property
    def margin(self) -> float | None:
        """The rest below the limit, negative over it; None where there is no limit, too."""
        return None if self.value is None or not self.limited else self.limit - self.value

    @property
    def counted(self) -> float | None:
        """The value without its diagnostic part: what a limit is missed by."""
        return None if self.value is None else self.value - self.diagnostic

    @property
    def limited(self) -> bool:
        """Whether the track limits this at all."""
        return self.limit < sys.maxsize

    @property
    def in_grace(self) -> bool:
        """Whether what counts is over the limit by no more than the grace."""
        return self.counted is not None and self.limit < self.counted <= self.limit + self.grace

    @property
    def status(self) -> Status:
        """'pass' within the limit, 'warn' over it by the grace or by diagnostic passes alone, 'fail', or 'unknown'."""
        if self.value is None or self.counted is None:
            return "unknown"
        if self.value <= self.limit:
            return "pass"
        return "warn" if self.counted <= self.limit + self.grace else "fail"

    @property
    def judged(self) -> str:
        """`status` in words."""
        if self.in_grace:
            return f"inside the grace of {self.grace:g} s"
        words = {"pass": "within", "warn": "over by diagnostic passes alone", "fail": "over", "unknown": "unknown"}
        return words[self.status]

    @property
    def said(self) -> str:
        """The value beside its limit, and how it is judged."""
        if self.value is None:
            return "unknown"
        value = f"{self.value:,.0f} bytes" if self.unit == "bytes" else f"{self.value:.3f} s"
        if not self.limited:
            return f"{value}, without a limit"
        limit = f"{self.limit:,.0f}" if self.unit == "bytes" else f"{self.limit:g} s"
        return f"{value} of {limit}, {self.judged}"


def artifact_bytes(run: Run) -> Sourced[int] | None:
    """Bytes of code and model together: as the log gives them, else their sum. Where the folder has the code that ran
    as a script that extracts itself, that script's bytes count."""
    if run.packed_bytes and run.code_bytes and (said := run.model_bytes or run.artifact_bytes):
        model = said.value if run.model_bytes else said.value - run.code_bytes.value
        return Sourced(model + run.packed_bytes.value, said.at)
    if run.artifact_bytes or not (run.model_bytes and run.code_bytes):
        return run.artifact_bytes
    return Sourced(run.model_bytes.value + run.code_bytes.value, run.model_bytes.at)


def artifact_size(run: Run, limits: Limits) -> Measure:
    """Code and model."""
    size = artifact_bytes(run)
    return Measure(
        "code and model",
        "bytes",
        limits.artifact_bytes,
        size.value if size else None,
        seed=_seed(run),
        evidence=_places(size),
    )


def training(run: Run, limits: Limits) -> Measure:
    """The training timer."""
    took = _timer(run, limits)
    return _time("training", limits.train_seconds, took.value if took else None, run, limits, _places(took))


def _timer(run: Run, limits: Limits) -> Sourced[float] | None:
    """The training timer at its end; where that is unknown, the clock of a step that is over the limit already."""
    if run.train_seconds:
        return run.train_seconds
    clocks = [p for p in (*run.train_curve, *run.val_curve) if p.seconds is not None]
    last = max(clocks, key=lambda p: p.seconds or 0.0, default=None)
    over = last and last.seconds and last.seconds > limits.train_seconds + limits.grace_seconds
    return Sourced(last.seconds, last.at) if over and last and last.seconds else None


def calibrated_training(run: Run, limits: Limits) -> Measure:
    """The training timer, and the pass over training data that calibrates the quantisation: both count as training."""
    took, calibration = _timer(run, limits), run.calibration_seconds
    seconds = None
    if took and (calibration or not run.calibration):
        seconds = took.value + (calibration.value if calibration else 0.0)
    places = _places(took, calibration)
    return _time("training and calibration", limits.train_seconds, seconds, run, limits, places)


def evaluation(run: Run, limits: Limits) -> Measure:
    """All passes that are scored from the artifact."""
    passes = [s for s in run.stages if s.kind != "pre-quant"]
    return Measure(
        "evaluation, all passes scored from the artifact",
        "s",
        limits.eval_seconds,
        run.eval_seconds,
        limits.grace_seconds,
        math.fsum(s.eval_seconds or 0.0 for s in passes if s.diagnostic),
        _seed(run),
        tuple(s.at for s in passes),
    )


MEASURES: tuple[Callable[[Run, Limits], Measure], ...] = (artifact_size, training, calibrated_training, evaluation)


def measures_of(run: Run, limits: Limits) -> list[Measure]:
    """A run beside every limit, in the order of `MEASURES`."""
    return [measure(run, limits) for measure in MEASURES]


def worst(measure: Callable[[Run, Limits], Measure], runs: Sequence[Run], limits: Limits) -> Measure:
    """Of one limit the run that decides: one that misses it, else one that is unknown, else the largest value."""
    measured = [measure(run, limits) for run in runs or [Run(Path())]]  # without runs: unknown
    return max(measured, key=lambda m: (-WORST_FIRST.index(m.status), m.value or 0.0))


def worst_measures(runs: Sequence[Run], limits: Limits) -> list[Measure]:
    """The run that decides, of every limit, in the order of `MEASURES`."""
    return [worst(measure, runs, limits) for measure in MEASURES]


def _time(
    what: str, limit: float, seconds: float | None, run: Run, limits: Limits, places: tuple[Evidence, ...]
) -> Measure:
    return Measure(what, "s", limit, seconds, limits.grace_seconds, seed=_seed(run), evidence=places)


def _seed(run: Run) -> int | None:
    return run.seed.value if run.seed else None


def _places(*values: Sourced[int] | Sourced[float] | None) -> tuple[Evidence, ...]:
    return tuple(v.at for v in values if v)
