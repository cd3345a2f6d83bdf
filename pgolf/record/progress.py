"""Where a running seed stands, read from its events or its log as they come: stage, step, loss, and how long it may
still take.

Events are exact; a log's text says less. The log reader decides what each line states. No time is made of the moment at
which a line was seen: the watcher may have been away.

How long the whole run may still take is told in time_left.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

from pgolf.audit.measures import Measure, artifact_bytes
from pgolf.evidence import event_schema as said
from pgolf.evidence.event_schema import Event, decode
from pgolf.evidence.lines import Lines, printable, without_prefix
from pgolf.evidence.logs import rescored, rescores
from pgolf.evidence.parser import Parser, Said
from pgolf.evidence.run import CurvePoint, Run, stage_kind
from pgolf.pace import projected_end
from pgolf.stages import OF_THE_ARTIFACT, STAGES, StageKind
from pgolf.tracks import Limits

STAGE_OF: dict[StageKind, str] = {"other": "evaluation", **{stage.kind: stage.name for stage in reversed(STAGES)}}
# what a log says between the last step and the first score, and what is then shown
BETWEEN = {"stop": "trained", "calibration": "calibration", "size": "artifact"}
MOST_SCORES = 32  # stages of a run whose scores are kept
CLOCK = "max_wallclock_seconds"  # the knob by which all public trainers call it
MARKS_MOST = 256  # that are kept of a stage
RESERVED = "gptq_reserve_seconds"  # of it, in pgolf's


@dataclass
class Progress:
    """A seed run up to its last event, or up to the last line of its log where there are no events.

    `stage` is the trainer's name for what it is doing; `done` of `total` counts steps, windows or chunks (0: unknown).
    Of a log it is the last thing that was said: after a score, another evaluation may already run in silence.
    `loss` is the last training loss (nats per token), `val_bpb` the last score. Times are seconds since the start:
    `heard` that of the last event or line, `elapsed` of now (or of the end), set by who watches, before a log is fed.
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
    timed: float = 0.0  # when the training timer was last heard of
    passes: dict[str, float] = field(default_factory=dict)  # evaluation over the artifact to its seconds
    scores: dict[str, float] = field(default_factory=dict)  # stage to bpb, in the order in which they came
    artifact_bytes: int | None = None  # code and model
    curve: list[tuple[int, float, float]] = field(default_factory=list)  # step, loss, seconds of training
    first: dict[str, tuple[float, int]] = field(default_factory=dict)  # stage to when it first told how much was done
    marks: dict[str, list[tuple[float, float]]] = field(default_factory=dict)  # stage to (when, share of it done)
    clock: float | None = None  # seconds of training after which the program ends it by itself; 0: never
    by_events: bool = False
    _rest: str = ""  # an unfinished line of events
    _lines: Lines = field(default_factory=Lines, compare=False, repr=False)  # of the log
    _parser: Parser = field(default_factory=lambda: Parser(Path(), ""), compare=False, repr=False)
    _before: Run | None = field(default=None, compare=False, repr=False)  # the trained run before this one in the log
    _traceback: bool = field(default=False, compare=False, repr=False)  # whether the log is inside one

    def feed(self, text: str) -> None:
        """Take in more of events.jsonl, cut anywhere."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if event := decode(line):
                self._take(event)

    def _take(self, event: Event) -> None:
        if event.t is None:
            return
        if not self.by_events:
            self._anew()
            self.by_events = True
        self.heard = event.t
        match event:
            case said.Start():
                self._own_clock(event.config or {})
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

    def _own_clock(self, knobs: Mapping[str, Any]) -> None:
        """Know how long pgolf's trainer trains: until its clock, less what it reserves for the calibration."""
        clock = _seconds(knobs.get(CLOCK), self.clock)
        self.clock = clock and max(0.0, clock - (_seconds(knobs.get(RESERVED), 0.0) or 0.0))

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
        if event.val_bpb is not None and math.isfinite(event.val_bpb) and len(self.scores) < MOST_SCORES:
            self.scores = {**self.scores, event.stage: event.val_bpb}
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
        self.train_seconds, self.timed = milliseconds / 1000, self.heard
        while self.curve and self.curve[-1][0] >= step:  # a resumed run takes these steps again
            self.curve.pop()
        self.curve.append((step, loss, self.train_seconds))

    def _enter(self, stage: str, done: int, total: int) -> None:
        self.begun.setdefault(stage, self.heard)
        self.stage, self.done, self.total = stage, done, total
        if self.by_events and total > 1:
            marks = self.marks.setdefault(stage, [])
            if len(marks) >= MARKS_MOST:
                del marks[1::2]
            marks.append((self.heard, self.fraction))

    def feed_log(self, text: str) -> None:
        """Take in more of what the program prints, cut anywhere; nothing where its events are known."""
        if self.by_events or not text:
            return
        self.heard = self.elapsed
        self._take_lines(self._lines.feed(text))

    def finish(self, succeeded: bool) -> None:
        """Take in the last line of the log, which no newline may end: the run is over, and its exit code is known."""
        if not self.by_events:
            self._take_lines(self._lines.finish())
        if succeeded:
            self._enter("done", 1, 1)

    def _take_lines(self, lines: Iterable[tuple[int, str]]) -> None:
        heard = False
        for number, line in lines:
            if finished := self._parser.feed(number, line):
                self._keep(finished)
                self._anew()
            self._errors(line)
            if self._parser.said:
                self._line(self._parser.said)
                heard = True
        if heard:
            self._look()

    def _line(self, said: Said) -> None:
        """Tell the stage from what a line of the log states."""
        parser = self._parser
        if said == "step":
            self._log_step()
        elif said == "pass":
            self._enter(STAGE_OF[parser.kind], 0, 0)
        elif said == "score":
            self._enter(STAGE_OF[parser.kind], 1, 1)
        elif said in BETWEEN and parser.begun and parser.run.final is None:
            self._enter(BETWEEN[said], 0, 0)

    def _keep(self, finished: Run) -> None:
        """Remember a run that is over: what begins now may be an evaluation of its artifact."""
        self.clock = _clock(finished, self.clock)
        if self._before and rescores(self._before, finished):
            finished = rescored(self._before, finished)
        elif not finished.trained:
            return
        self._before = replace(finished, hyperparameters={}, problems=[])  # all else is bounded, however many come

    def _anew(self) -> None:
        """Forget what belongs to a run that is over: another one begins."""
        self.stage, self.done, self.total = "starting", 0, 0
        self.loss = self.step = self.val_bpb = self.error = self.train_seconds = self.artifact_bytes = None
        # anew: another thread may be reading the old
        self.begun, self.first, self.marks, self.passes, self.scores = {}, {}, {}, {}, {}
        self.curve = []
        self._traceback = False

    def _log_step(self) -> None:
        parser = self._parser
        points = [point for point in (parser.train.latest, parser.val.latest) if point]
        step = max(points, key=itemgetter(3))[0]  # of the later line
        self._enter("train", step, max(0, parser.planned))
        since, done = self.first.get("train", (self.heard, step))
        if since == self.heard or step < done:  # of lines that come together only the last tells of a pace
            self.first["train"] = self.heard, step

    def _look(self) -> None:
        """Read off the run what is known of it by now."""
        parser, run = self._parser, self._parser.run
        points = [point for point in (parser.train.latest, parser.val.latest) if point]
        self.curve = _rising(parser.train.so_far())
        if self._before and not points and rescores(self._before, run):
            run = rescored(replace(self._before), run)
            self.curve = _rising(run.train_curve)
            self.step, self.loss = self.curve[-1][:2] if self.curve else (None, None)
        if parser.train.latest:
            self.step, self.loss = parser.train.latest[:2]
        clock = max((p for p in points if p[2] is not None), key=itemgetter(0, 3), default=None)  # of the last step
        timer = run.train_seconds.value if run.train_seconds else clock[2] if clock else None
        calibration = run.calibration_seconds.value if run.calibration_seconds else 0.0
        self.train_seconds, self.timed = None if timer is None else timer + calibration, self.heard
        size, score = artifact_bytes(run), run.final or (run.stages[-1] if run.stages else None)
        self.artifact_bytes = size.value if size else None
        self.val_bpb = score.val_bpb if score else None
        self.scores = {STAGE_OF[s.kind]: s.val_bpb for s in run.stages[-MOST_SCORES:]}
        self.passes = _passes(run)
        self.clock = _clock(run, self.clock)

    def _errors(self, line: str) -> None:
        """Keep the first error since the run last went on: what follows it are other ranks, and the launcher."""
        said, words = self._parser.said, without_prefix(line)
        if said in ("step", "score"):
            self.error, self._traceback = None, False
        elif said == "error" and words.startswith("Traceback"):
            self._traceback = True
        elif said == "error" or (self._traceback and words and not words[0].isspace()):
            self.error, self._traceback = self.error or printable(words), False

    @property
    def scoring(self) -> bool:
        """Whether a pass over the artifact runs, by events: those of a log may be warming up, which does not count."""
        return self.by_events and stage_kind(self.stage) in OF_THE_ARTIFACT and self.stage not in self.passes

    @property
    def fraction(self) -> float:
        """Share of the current stage that is done: of its steps, or of the seconds that the program's own clock gives
        them."""
        done = self.done / self.total if self.total else 0.0
        if self.stage == "train" and self.clock and self.train_seconds is not None:
            done = max(done, (self.train_seconds + self.heard - self.timed) / self.clock)
        return min(1.0, done)

    @property
    def eval_seconds(self) -> float | None:
        """Seconds of the passes over the artifact, the one that runs included where events tell of it."""
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

    def _within_clock(self, ends: float) -> float | None:
        """When training ends that goes on to `ends` for all planned steps; None where nobody knows of its own clock."""
        if not self.clock:
            return None if self.clock is None and not self.by_events else ends
        return None if self.train_seconds is None else min(ends, self.timed + self.clock - self.train_seconds)

    def stage_left(self) -> float | None:
        """Seconds that the current stage still takes at its own pace, negative where it is over; None: unknown."""
        since = self.first.get(self.stage, (self.begun.get(self.stage, self.heard), 0))
        ends = projected_end(since, (self.heard, self.done), self.total) if self.total else None
        if ends is not None and self.stage == "train":
            ends = self._within_clock(ends)
        return None if ends is None else ends - self.elapsed


def _rising(points: list[CurvePoint]) -> list[tuple[int, float, float]]:
    """(step, loss, seconds of training) of a curve's points that have a finite loss and a time; where steps were taken
    again, the later ones."""
    curve: list[tuple[int, float, float]] = []
    for p in points:
        if p.seconds is None or not math.isfinite(p.loss):
            continue
        while curve and curve[-1][0] >= p.step:
            curve.pop()
        curve.append((p.step, p.loss, p.seconds))
    return curve


def _passes(run: Run) -> dict[str, float]:
    """Seconds of the evaluations of the artifact that count, by the trainer's name for their kind."""
    passes: dict[str, float] = {}
    for stage in run.stages:
        if stage.kind != "pre-quant" and not stage.diagnostic and stage.eval_seconds is not None:
            name = STAGE_OF[stage.kind]
            passes[name] = passes.get(name, 0.0) + stage.eval_seconds
    if not passes and run.final and run.total_eval_seconds:
        return {STAGE_OF["other"]: run.total_eval_seconds.value}
    return passes


def _clock(run: Run, known: float | None) -> float | None:
    """The cap of a run's own clock, as its knobs give it; `known` where they do not."""
    knob = run.hyperparameters.get(CLOCK)
    return _seconds(knob.value, known) if knob else known


def _seconds(told: object, known: float | None) -> float | None:
    """A number of seconds that a knob gives; `known` where it gives none."""
    try:
        seconds = float(str(told))
    except ValueError:
        return known
    return max(0.0, seconds) if math.isfinite(seconds) else known
