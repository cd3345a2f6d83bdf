"""One training run as its log tells it: the typed thing that every check, statistic and report reads.

Unknown is None, never a guess. Whatever was read from a log is a `Sourced` value and names its file and line,
so that every sentence of a report can point at its evidence.
"""

import math
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Generic, Literal, TypeVar

from pgolf.knobs import OF_ONE_RUN
from pgolf.stages import BY_NAME, StageKind

T = TypeVar("T")

# Names, places and processes of one run: they say nothing of the method. Beside our own knobs, other trainers'.
OF_THE_RUN = OF_ONE_RUN | {
    "logfile",
    "data_path",
    "train_files",
    "val_files",
    "val_bytes_files",
    "model_path",
    "quantized_model_path",
    "artifact_dir",
    "rank",
    "local_rank",
    "is_main_process",
    "distributed",
}

ProblemKind = Literal["not-finite", "error", "unfinished", "events"]


@dataclass(frozen=True)
class Evidence:
    """A place in a file: its name relative to the record folder, and a line number counted from 1."""

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

    `kind` is our name for what it measures: 'pre-quant', 'quantized', 'sliding', 'stream', 'ttt' or 'other'.
    `val_loss` is nats per token, `val_bpb` bits per byte, `eval_seconds` wall-clock seconds.
    `decimals` counts the digits that the log printed of `val_bpb`.
    `diagnostic`: the log says that this pass is for information and claims nothing.
    """

    name: str
    kind: StageKind
    val_loss: float | None
    val_bpb: float
    eval_seconds: float | None
    decimals: int
    at: Evidence
    diagnostic: bool = False

    @property
    def bytes_per_token(self) -> float | None:
        """Of the validation text that this pass scored: loss / ln 2 / bpb."""
        return None if self.val_loss is None else self.val_loss / math.log(2) / self.val_bpb


@dataclass(frozen=True)
class CurvePoint:
    """A logged training or validation loss: step, nats per token, seconds of training so far (if logged), and the
    digits after the point that the log printed of the loss."""

    step: int
    loss: float
    seconds: float | None
    at: Evidence
    decimals: int = 0


@dataclass(frozen=True)
class Problem:
    """Something that went wrong in a run, in a few words of the log.

    'not-finite': a loss was NaN or infinite; 'error': a traceback or an error line; 'unfinished': an evaluation
    began and its score never came; 'events': events.jsonl and the log beside it do not tell of one run.
    """

    kind: ProblemKind
    text: str
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
    code_bytes: Sourced[int] | None = None  # the code as it counts: compressed, where the log says so
    source_bytes: Sourced[int] | None = None  # the code before compression, where the log gives both
    packed_bytes: Sourced[int] | None = None  # of the folder's script that extracts itself to the code that ran
    artifact_bytes: Sourced[int] | None = None  # code + model, as the log gives it
    train_seconds: Sourced[float] | None = None
    calibration: Evidence | None = None  # where a pass over training data for quantisation begins
    calibration_seconds: Sourced[float] | None = None
    adaptation_seconds: Sourced[float] | None = None  # of a pass that adapts the model and prints no score of its own
    total_eval_seconds: Sourced[float] | None = None  # as the log sums it up itself
    steps: Sourced[int] | None = None
    planned_steps: Sourced[int] | None = None  # by the last step's own line: 1390 of 'step:1385/1390'
    parameters: Sourced[int] | None = None
    world_size: Sourced[int] | None = None
    threads: Sourced[int] | None = None  # of a rank
    val_tokens: Sourced[int] | None = None
    val_bytes: Sourced[int] | None = None
    scored_sha256: Sourced[str] | None = None
    weights_fingerprint: Sourced[str] | None = None
    artifact_sha256: Sourced[str] | None = None
    hardware: Sourced[str] | None = None  # one accelerator's name
    device_count: Sourced[int] | None = None  # accelerators that the machine showed
    torch_version: Sourced[str] | None = None
    adapted_unquantised: Evidence | None = None  # where it adapts to the validation text before it quantises
    calibrated_on_validation: Evidence | None = None  # where the quantisation is calibrated on it
    scored_again: Evidence | None = None  # where tokens are scored a second time
    adapted_epochs: Sourced[int] | None = None  # how often it goes over the whole validation text to adapt
    problems: list[Problem] = field(default_factory=list)
    ended: bool = False  # a final score came, and no evaluation began after it
    scored_in: Path | None = None  # the log of a later evaluation of the saved artifact, if the score is from there
    claimed: Stage | None = None  # the evaluation that the record claims, where that is not the last one of every seed

    @property
    def final(self) -> Stage | None:
        """The last evaluation of the artifact that the log does not call diagnostic, if not another one is claimed."""
        if self.claimed:
            return self.claimed
        scores = [s for s in self.stages if s.kind != "pre-quant" and not s.diagnostic]
        return scores[-1] if scores else None

    @property
    def trained(self) -> bool:
        """Whether the log tells of training, and not only of an evaluation."""
        return bool(self.train_curve or self.val_curve or self.train_seconds)

    @property
    def eval_seconds(self) -> float | None:
        """Seconds of all passes scored from the artifact, up to the claimed one; None where the final one was not
        timed."""
        if self.final is None:
            return None
        if self.final.eval_seconds is None:
            return self.total_eval_seconds.value if self.total_eval_seconds else None
        passes = self.stages[: self.stages.index(self.claimed) + 1] if self.claimed else self.stages
        adaptation = self.adaptation_seconds.value if self.adaptation_seconds else 0.0
        return math.fsum([adaptation, *(s.eval_seconds or 0.0 for s in passes if s.kind != "pre-quant")])

    @property
    def bytes_per_token(self) -> float | None:
        """Of the validation text, from the final score's own (loss, bpb) pair."""
        return self.final.bytes_per_token if self.final else None


@lru_cache(maxsize=1024)  # a log repeats its few names on every line of progress
def stage_kind(name: str) -> StageKind:
    """The kind of the stage that an author called `name`."""
    if name in BY_NAME:
        return BY_NAME[name].kind
    words = re.sub(r"[\W_]+", " ", name.lower())
    words = re.sub(r"\bpre ttt\b|\bno ttt\b|\bwithout ttt\b", "", words)
    if re.search(r"\bpre ?quant|\bunquant|\bdequantized fp", words):
        return "pre-quant"
    if re.search(r"ttt\b|\bttt|test time|\badapt", words):
        return "ttt"
    if re.search(r"sliding|strided?\b", words):
        return "sliding"
    if re.search(r"\bstream(?:ed|ing)?\b", words):
        return "stream"
    if re.search(r"quant|round ?trip|\bint\d|\bfp8|ternary|binary", words):
        return "quantized"
    return "pre-quant" if re.search(r"\b(?:ema|swa|averaged?|raw|fp16|bf16|fp32|float)\b", words) else "other"
