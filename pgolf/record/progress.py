"""Where a running seed stands, read from its events as they come: stage, step, loss, and how long it may still take.

A finished seed of the same record tells how long each stage takes; until there is one, only the time left in the
current stage is known.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pgolf.audit.measures import Measure
from pgolf.evidence.run import stage_kind
from pgolf.pace import projected_end
from pgolf.stages import OF_THE_ARTIFACT
from pgolf.tracks import Limits


@dataclass
class Progress:
    """A seed run up to its last event.

    `stage` is the trainer's name for what it is doing; `done` of `total` counts steps, windows or chunks (0: unknown).
    `loss` is the last training loss (nats per token), `val_bpb` the last score. Times are seconds since the start:
    `heard` that of the last event, `elapsed` of now (or of the end), set by who watches.
    """

    stage: str = "starting"
    done: int = 0
    total: int = 0
    loss: float | None = None
    step: int | None = None  # that the loss is of
    val_bpb: float | None = None
    error: str | None = None
    heard: float = 0.0
    elapsed: float = 0.0
    begun: dict[str, float] = field(default_factory=dict)  # stage to the time it was first heard of
    train_seconds: float | None = None  # of the training timer, calibration included once it is over
    passes: dict[str, float] = field(default_factory=dict)  # evaluation over the artifact to its seconds
    artifact_bytes: int | None = None  # code and model
    curve: list[tuple[int, float, float]] = field(default_factory=list)  # step, loss, seconds of training
    first: dict[str, tuple[float, int]] = field(default_factory=dict)  # stage to when it first told how much was done
    _rest: str = ""  # an unfinished line

    def feed(self, text: str) -> None:
        """Take in more of events.jsonl, cut anywhere."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            try:
                event = json.loads(line)
                self._take(event)
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # a torn line, or someone else's

    def _take(self, event: Mapping[str, Any]) -> None:
        self.heard = float(event["t"])
        match event["event"]:
            case "progress":
                self._enter(event["stage"], event["done"], event["total"])
                self.first.setdefault(self.stage, (self.heard, self.done))
            case "train":
                self._enter("train", event["step"], event["iterations"])
                self.loss, self.step = float(event["train_loss"]), self.done
                self.train_seconds = event["train_ms"] / 1000
                while self.curve and self.curve[-1][0] >= self.done:  # a resumed run takes these steps again
                    self.curve.pop()
                self.curve.append((self.done, self.loss, self.train_seconds))
            case "stop":
                self._enter("calibration", 0, 0)
                self.train_seconds = event["train_ms"] / 1000
            case "calibration":
                self.train_seconds = (self.train_seconds or 0.0) + float(event["seconds"])
            case "artifact":
                self.artifact_bytes = int(event["total_bytes"])
            case "stage":
                self._enter(event["stage"], 1, 1)
                self.val_bpb = float(event["val_bpb"])
                if stage_kind(self.stage) != "pre-quant":
                    self.passes[self.stage] = event["eval_ms"] / 1000
            case "error":
                self.error = str(event["message"])
            case "end":
                self._enter("done", 1, 1)

    def _enter(self, stage: str, done: int, total: int) -> None:
        self.stage, self.done, self.total = str(stage), int(done), int(total)
        self.begun.setdefault(self.stage, self.heard)

    @property
    def scoring(self) -> bool:
        """Whether a pass over the artifact runs."""
        return stage_kind(self.stage) in OF_THE_ARTIFACT and self.stage not in self.passes

    @property
    def fraction(self) -> float:
        """Share of the current stage that is done."""
        return self.done / self.total if self.total else 0.0

    @property
    def eval_seconds(self) -> float | None:
        """Seconds of the passes over the artifact, the one that runs included."""
        if not self.passes and not self.scoring:
            return None
        return sum(self.passes.values()) + (self.heard - self.begun[self.stage] if self.scoring else 0.0)

    def measures(self, limits: Limits) -> tuple[Measure, Measure, Measure]:
        """Code and model, training (with calibration, once that is over) and evaluation so far, beside their limits."""
        return (
            Measure("code and model", "bytes", limits.artifact_bytes, self.artifact_bytes),
            Measure("training", "s", limits.train_seconds, self.train_seconds, limits.grace_seconds),
            Measure("evaluation", "s", limits.eval_seconds, self.eval_seconds, limits.grace_seconds),
        )

    def left(self, finished: "Progress | None" = None) -> float | None:
        """Seconds still to go: of the whole run if there is a finished one to compare with, else of the current
        stage; None if not even that can be told."""
        if self.stage == "done":
            return 0.0
        begun = self.begun.get(self.stage, self.heard)
        if finished and self.stage in finished.begun:
            start = finished.begun[self.stage]
            end = min((t for t in finished.begun.values() if t > start), default=finished.heard)
            reached = start + self.fraction * (end - start)
            ends = projected_end((0.0, 0.0), (self.heard, reached), finished.heard) if reached else finished.heard
        else:
            ends = projected_end((begun, 0), (self.heard, self.done), self.total) if self.total else None
        return None if ends is None else max(0.0, ends - self.elapsed)
