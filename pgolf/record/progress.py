"""Where a running seed stands, read from its events as they come: stage, step, loss, and how long it may still take.

A finished seed of the same record tells how long each stage takes; until there is one, only the time left in the
current stage is known.
"""

from dataclasses import dataclass, field

from pgolf.audit.measures import Measure
from pgolf.evidence import event_schema as said
from pgolf.evidence.event_schema import Event, decode
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
            if event := decode(line):
                self._take(event)

    def _take(self, event: Event) -> None:
        if event.t is None:
            return
        self.heard = event.t
        match event:
            case said.Train():
                self._step(event)
            case said.Doing():
                self._doing(event)
            case said.Stop():
                self._enter("calibration", 0, 0)
                self.train_seconds = self.train_seconds if event.train_ms is None else event.train_ms / 1000
            case said.Calibration():
                self.train_seconds = (self.train_seconds or 0.0) + (event.seconds or 0.0)
            case said.Written():
                self.artifact_bytes = event.total_bytes
            case said.Score():
                self._scored(event)
            case said.Failed():
                self.error = event.message or "no message"
            case said.End():
                self._enter("done", 1, 1)

    def _doing(self, event: said.Doing) -> None:
        _, stage, done, total = event
        if stage is not None and done is not None and total is not None:
            self._enter(stage, done, total)
            if stage not in self.first:
                self.first[stage] = (self.heard, done)

    def _scored(self, event: said.Score) -> None:
        if event.stage is None:
            return
        self._enter(event.stage, 1, 1)
        self.val_bpb = event.val_bpb
        if stage_kind(event.stage) != "pre-quant" and event.eval_ms is not None:
            self.passes[event.stage] = event.eval_ms / 1000

    def _step(self, event: said.Train) -> None:
        _, step, iterations, loss, milliseconds, _ = event
        if step is None or iterations is None or loss is None:
            return
        self._enter("train", step, iterations)
        self.loss, self.step = loss, step
        if milliseconds is None:
            return
        self.train_seconds = milliseconds / 1000
        while self.curve and self.curve[-1][0] >= step:  # a resumed run takes these steps again
            self.curve.pop()
        self.curve.append((step, loss, self.train_seconds))

    def _enter(self, stage: str, done: int, total: int) -> None:
        self.stage, self.done, self.total = stage, done, total
        if stage not in self.begun:
            self.begun[stage] = self.heard

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
