"""One training run as its log tells it: the typed thing that every check, statistic and report reads.

Unknown is None, never a guess. Whatever was read from a log is a `Sourced` value and names its file and line,
so that every sentence of a report can point at its evidence.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Evidence:
    """A place in a log: file name relative to the record folder, and a line number counted from 1."""

    file: str
    line: int


@dataclass(frozen=True)
class Sourced(Generic[T]):
    """A value and the line it was read from."""

    value: T
    at: Evidence


@dataclass(frozen=True)
class Stage:
    """One evaluation of the finished model, in the log's own words.

    `kind` is our name for what it measures: 'pre-quant', 'quantized', 'sliding', 'ttt' or 'other'.
    `val_loss` is nats per token, `val_bpb` bits per byte, `eval_seconds` wall-clock seconds.
    `decimals` counts the digits that the log printed of `val_bpb`.
    """

    name: str
    kind: str
    val_loss: float | None
    val_bpb: float
    eval_seconds: float | None
    decimals: int
    at: Evidence


@dataclass(frozen=True)
class CurvePoint:
    """A logged training or validation loss: step, nats per token, seconds of training so far (if logged)."""

    step: int
    loss: float
    seconds: float | None
    at: Evidence


@dataclass
class Run:
    """Everything that one log says of one run. Sizes are bytes, times are seconds."""

    log: Path
    seed: Sourced[int] | None = None
    stages: list[Stage] = field(default_factory=list)
    train_curve: list[CurvePoint] = field(default_factory=list)
    val_curve: list[CurvePoint] = field(default_factory=list)
    hyperparameters: dict[str, Sourced[str]] = field(default_factory=dict)
    model_bytes: Sourced[int] | None = None  # the compressed model alone
    code_bytes: Sourced[int] | None = None
    artifact_bytes: Sourced[int] | None = None  # code + model, as the log gives it
    train_seconds: Sourced[float] | None = None
    calibration_seconds: Sourced[float] | None = None
    steps: Sourced[int] | None = None
    parameters: Sourced[int] | None = None
    world_size: Sourced[int] | None = None
    val_tokens: Sourced[int] | None = None
    val_bytes: Sourced[int] | None = None
    val_sha256: Sourced[str] | None = None
    weights_fingerprint: Sourced[str] | None = None
    artifact_sha256: Sourced[str] | None = None
    hardware: Sourced[str] | None = None
    torch_version: Sourced[str] | None = None
    problems: list[Sourced[str]] = field(default_factory=list)  # NaN losses, tracebacks, truncation
    ended: bool = False  # the log reaches the end of its run

    @property
    def final(self) -> Stage | None:
        """The last evaluation: the one that a record claims."""
        return self.stages[-1] if self.stages else None
