"""Any training log's lines → `Run`: what it says, where it says it, and nothing that it does not say.

Every author of this contest logs in a dialect of their own, so nothing here knows one of them whole. A line is
recognised by the fact that it states: a step's loss, a score, a size, a time, a knob. What decides a claim is
read strictly: a score needs a name, a size needs its unit, a time needs its unit, and running figures, comparisons
with other records, source code dumped at the head and the preflight before the real run are not taken for it.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pgolf.evidence import dialect as say
from pgolf.evidence import dumps
from pgolf.evidence.adaptation import note_adaptation
from pgolf.evidence.lines import printable, without_prefix
from pgolf.evidence.run import CurvePoint, Evidence, Problem, ProblemKind, Run, Sourced, Stage, T, stage_kind
from pgolf.stages import StageKind

LOOKED_AT = 2048  # characters of a line that the patterns see; only dumps of knobs are longer
MOST_KNOBS, MOST_STAGES, MOST_PROBLEMS, MOST_POINTS, MOST_GPUS = 4000, 1000, 50, 4096, 1024
FIRST_POINTS = 64  # never thinned out: they are a run's fingerprint


class Curve:
    """Logged losses in bounded memory: all of the beginning, then ever fewer of the rest, and the last."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.points: list[CurvePoint] = []
        self.seen, self.stride = 0, 1
        self.latest: tuple[int, float, float | None, int] | None = None

    def add(self, step: int, loss: float, seconds: float | None, line: int) -> None:
        self.seen, self.latest = self.seen + 1, (step, loss, seconds, line)
        if self.seen % self.stride == 0:
            self.points.append(self._point(self.latest))
            if len(self.points) >= MOST_POINTS:
                self.stride *= 2
                self.points[FIRST_POINTS:] = self.points[FIRST_POINTS::2]

    def _point(self, latest: tuple[int, float, float | None, int]) -> CurvePoint:
        step, loss, seconds, line = latest
        return CurvePoint(step, loss, seconds, Evidence(self.name, line))

    def so_far(self) -> list[CurvePoint]:
        """The points, with the last one among them."""
        last = [self._point(self.latest)] if self.latest and self.seen % self.stride else []
        return self.points + last


# What a line states: 'pass' is a sign of an evaluation that runs, 'size' of the compressed model or of all.
Said = Literal["step", "stop", "calibration", "pass", "score", "size", "error"]


class Parser:
    """The run that a log is telling of right now, fed a line at a time.

    Who watches a run reads `run`, which has all but the curves, and `train` and `val`, which have those; `said` is what
    the last line stated, None where it was nothing of these, and `kind` what the last pass or score measures.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name, self.number = path, name, 0
        self.said: Said | None = None
        self._fresh()

    def _fresh(self) -> None:
        self.run = Run(log=self.path)
        self.train, self.val = Curve(self.name), Curve(self.name)
        self.facts = False  # whether the log has said anything of a run
        self.begun = False  # whether it is past its knobs: a step or a score came
        self.in_knobs = self.flat_knobs = False  # inside a dump of knobs; one without indentation
        self.in_source = False
        self.kind: StageKind = "other"
        self.evaluating: Evidence | None = None  # where an evaluation began whose score is still to come
        self.planned = -1  # steps, by the line of the last one
        self.gpus: set[str] = set()
        self.raw_bytes = 0  # of the model before compression

    @property
    def at(self) -> Evidence:
        return Evidence(self.name, self.number)

    def _here(self, value: T) -> Sourced[T]:
        return Sourced(value, self.at)

    def feed(self, number: int, line: str) -> Run | None:
        """Take in a line; the run before it, if this line begins another."""
        self.said = None
        line = without_prefix(line)
        text = line[:LOOKED_AT].strip()
        low = text.lower()
        if not low:
            return None
        self.number = number
        if self.in_source and line[0] in " \t":
            return None
        if self._step(low) or (not self.begun and self._skip_source(low)):
            return None
        if self.begun and not say.FACT.match(low) and not any(word in low for word in say.FACT_WORDS):
            return None
        finished = None
        if self.begun and (say.BEGINS.match(low) or say.LAUNCHED in low):
            finished = self.finish()
        if self.begun or not self._knobs(line, low):
            self._fact(text, low)
        return finished

    def finish(self) -> Run | None:
        """The run so far, if there is one; the parser is ready for the next."""
        run, facts = self.run, self.facts
        run.train_curve, run.val_curve = self.train.so_far(), self.val.so_far()
        ends = [curve[-1] for curve in (run.train_curve, run.val_curve) if curve]
        last = max(ends, key=lambda p: (p.step, p.seconds is not None), default=None)
        if last and not run.steps:
            run.steps = Sourced(last.step, last.at)
        if last and last.step == self.planned and not run.train_seconds and last.seconds is not None:
            run.train_seconds = Sourced(last.seconds, last.at)
        if self.evaluating:
            run.problems.append(Problem("unfinished", "an evaluation began, its score never came", self.evaluating))
        run.ended = run.final is not None and self.evaluating is None
        self._fresh()
        return run if facts else None

    def _skip_source(self, low: str) -> bool:
        """Whether this is a line of source code that the log begins with."""
        if self.in_source:
            self.in_source = not say.AFTER_SOURCE.match(low)
        else:
            self.in_source = say.SOURCE.match(low) is not None
        return self.in_source

    def _problem(self, kind: ProblemKind, text: str) -> None:
        if len(self.run.problems) < MOST_PROBLEMS:
            self.run.problems.append(Problem(kind, printable(text), self.at))

    def _step(self, low: str) -> bool:
        """Whether the line logs a step of training."""
        found = say.STEP.match(low)
        loss = found and say.LOSS.search(low, found.end())
        if not found or not loss:
            return False
        if not self.train.seen and not self.val.seen:
            self.run.stages.clear()  # whatever was scored before training is not this run's result
        self.facts = self.begun = True
        self.in_source = False
        value = float(loss[2])
        if not math.isfinite(value):
            self._problem("not-finite", low)
            value = math.nan
        time = say.STEP_TIME.search(low, loss.end())
        took = say.seconds(time[2], time[3], time[1]) if time else None
        (self.val if loss[1] == "val" else self.train).add(int(found[1] or found[3]), value, took, self.number)
        self.planned = int(found[2] or found[4] or -1)
        self.said = "step"
        return True

    # --- knobs
    def _knobs(self, line: str, low: str) -> bool:
        """Whether the line states knobs and nothing else. Only lines before training do."""
        if say.KNOBS.fullmatch(low):
            self.facts = self.in_knobs = True
            self.flat_knobs = False
            return True
        if low.startswith("{") or say.KNOBS_INLINE.match(low):
            return self._add_knobs(dumps.mapping(line[line.index("{") :].strip()))
        if say.KNOBS_REPR.fullmatch(low):
            return self._add_knobs(dumps.call(line))
        if self._add_knobs(dumps.pairs(line, 1 + self.in_knobs)):
            return False  # such a line may be a fact too: world_size:8 grad_accum_steps:1
        if self.in_knobs and (knob := say.KNOB.fullmatch(line[:LOOKED_AT])):
            if not self.run.hyperparameters and not knob[1]:
                self.flat_knobs = True
            known = low.startswith("train_shards") or any(p.match(low) for p in say.WHOLE_FACTS.values())
            if knob[1] or (self.flat_knobs and not known):
                return self._add_knobs({knob[2]: knob[3].strip().rstrip(",").strip("'\"")})
            self.in_knobs = not known
        return False

    def _add_knobs(self, knobs: Mapping[str, str]) -> bool:
        self.facts = self.facts or bool(knobs)
        for name, value in knobs.items():
            name = name.lower()
            if len(self.run.hyperparameters) < MOST_KNOBS:
                self.run.hyperparameters[printable(name)] = self._here(printable(value))
            if name == "seed" and re.fullmatch(r"-?\d{1,18}", value):
                self.run.seed = self._here(int(value))
            if name == "world_size" and (size := say.whole(value)):
                self.run.world_size = self._here(size)
        return bool(knobs)

    # --- everything else
    def _fact(self, text: str, low: str) -> None:
        note_adaptation(self.run, low, self.at)
        run = self.run
        if found := say.BPB.search(low):
            self._stage(text, low, found)
        elif "running_bpb" in low or say.EVALUATING.match(low):
            self._passing(low)
        elif say.ERROR.match(low):
            self._problem("error", text)
            self.said = "error"
        elif say.STOPPED.match(low) or (self.begun and say.TRAIN_TIME.match(low)):
            self._stopped(low)
        elif found := say.CALIBRATED.match(low):
            took = say.seconds(found[1], found[2])
            run.calibration_seconds = self._here(took) if took is not None else run.calibration_seconds
            run.calibration = run.calibration or self.at
            self.said = "calibration"
        elif say.CALIBRATES.match(low):
            run.calibration = self.at
            self.said = "calibration"
        elif found := say.TOTAL_EVAL.match(low):
            total = say.seconds(found[2], found[3], found[1])
            run.total_eval_seconds = self._here(total) if total is not None else None
        elif not self._size(low):
            self._about(text, low)

    def _passing(self, words: str) -> None:
        """An evaluation runs, of which these lower-cased words tell."""
        self.evaluating, self.said = self.at, "pass"
        self.kind = "ttt" if say.PHASED.match(words) else stage_kind(words.strip(" [(").partition(" ")[0])

    def _stage(self, text: str, low: str, bpb: re.Match[str]) -> None:
        """A score of the finished model, unless the line says that it is something else."""
        head = text[: bpb.start()]
        if say.PROGRESS.search(head.lower()):
            self._passing(head.lower())
            return
        words = say.PAIR.sub(" ", say.VAL_LOSS.sub(" ", head.lower())) if "=" in head or ":" in head else head
        name = _own_words(head, words)
        if say.OTHERS_SCORE.search(name.lower().replace("_", " ")) or (not name and not self.begun):
            return
        self.facts = self.begun = True
        loss, time = say.VAL_LOSS.search(low), say.EVAL_TIME.search(low)
        value, nats = float(bpb[1]), float(loss[1]) if loss else None
        if not (math.isfinite(value) and value > 0 and (nats is None or (math.isfinite(nats) and nats > 0))):
            self._problem("not-finite", text)
            return
        kind = stage_kind(name)
        if kind != "pre-quant":
            self.evaluating = None
        self.said, self.kind = "score", kind
        stage = Stage(
            name=name or "val_bpb",
            kind=kind,
            val_loss=nats,
            val_bpb=value,
            eval_seconds=say.seconds(time[2], time[3], time[1]) if time else None,
            decimals=0 if "e" in bpb[1] else len(bpb[1].partition(".")[2]),
            at=self.at,
            diagnostic="diagnostic" in name.lower(),
        )
        _add_stage(self.run.stages, stage)

    def _stopped(self, low: str) -> None:
        time, step = say.TRAIN_TIME.search(low), say.STOP_STEP.search(low)
        if time and (took := say.seconds(time[2], time[3], time[1])) is not None:
            self.run.train_seconds = self._here(took)
        if step and (steps := say.whole(step[1])) is not None:
            self.run.steps = self._here(steps)
        self.facts, self.said = True, "stop"

    def _size(self, low: str) -> bool:
        """Whether the line gives a size. A model without a word for its compression is the uncompressed one."""
        run = self.run
        if found := say.CODE.match(low):
            size = say.whole(found[2])
            if size and "uncompressed" in (found[1] or ""):
                run.source_bytes = self._here(size)
            elif size:
                run.code_bytes = self._here(size)
        elif found := say.MODEL.match(low):
            size = say.whole(found[2])
            if size and found[1]:
                run.model_bytes = self._here(size)
            else:
                self.raw_bytes = size or 0
        elif found := say.BUDGET.match(low):
            if size := say.whole(found[1]):
                run.artifact_bytes = self._here(size)
        elif found := say.ARTIFACT.match(low):
            # 'Total submission size: N' may be the uncompressed model's, too
            size = say.whole(found[2])
            plain = not found[1] and (run.artifact_bytes or (size and 0 < self.raw_bytes <= size))
            if size and not plain:
                run.artifact_bytes = self._here(size)
        elif found := say.INLINE_CODE.match(low):
            run.code_bytes = self._here(int(found[1]))
        else:
            return False
        self.facts = True
        self.said = "size" if self.at in (s.at for s in (run.model_bytes, run.artifact_bytes) if s) else None
        return True

    def _about(self, text: str, low: str) -> None:
        """Facts of the data, the model and the machine."""
        for name, pattern in say.WHOLE_FACTS.items():
            if (found := pattern.match(low)) and (value := say.whole(found[1])):
                setattr(self.run, name, self._here(value))
                self.facts = True
        for name, pattern in say.WORD_FACTS.items():
            if found := pattern.match(low):
                setattr(self.run, name, Sourced(printable(text[found.start(1) : found.end(1)]), self.at))
        if found := say.GPU.match(low):
            group = 1 if found[1] else 3
            if len(self.gpus) < MOST_GPUS:
                self.gpus.add(found[group])
            self.run.hardware = Sourced(printable(text[found.start(group + 1) : found.end(group + 1)]), self.at)
            self.run.device_count = self._here(len(self.gpus))


def _own_words(head: str, words: str) -> str:
    """A stage's name as the log spells it; `words` is the lower-cased `head` without its name:value pairs."""
    kept = words.strip(" :=-|,>#*()[]").split()
    spelled = {w.lower().strip(" :=-|,>#*()[]"): w.strip(" :=-|,>#*()[]") for w in head.split()}
    return printable(" ".join(spelled.get(w.strip(" :=-|,>#*()[]"), w) for w in kept), 80)


def _add_stage(stages: list[Stage], stage: Stage) -> None:
    """Append a score, or take it together with the one before where a log prints one evaluation twice: rounded and
    exact, or under a second name for other people's scripts."""
    if stages and _same_evaluation(stages[-1], stage):
        before = stages.pop()
        better = stage if stage.decimals > before.decimals else before
        other = before if better is stage else stage
        took = other.eval_seconds if better.eval_seconds is None else better.eval_seconds
        loss = other.val_loss if better.val_loss is None else better.val_loss
        stage = replace(better, val_loss=loss, eval_seconds=took)
    stages.append(stage)
    if len(stages) > MOST_STAGES:
        del stages[0]


def _same_evaluation(a: Stage, b: Stage) -> bool:
    if (a.kind == "pre-quant") != (b.kind == "pre-quant") or a.diagnostic != b.diagnostic:
        return False
    half_unit = 0.51 * 10.0 ** -min(a.decimals, b.decimals)
    if abs(a.val_bpb - b.val_bpb) > half_unit:
        return False
    if a.val_loss is not None and b.val_loss is not None and abs(a.val_loss - b.val_loss) > half_unit:
        return False
    if a.eval_seconds is None or b.eval_seconds is None:
        return True
    return abs(a.eval_seconds - b.eval_seconds) <= 1.0 and a.decimals != b.decimals
