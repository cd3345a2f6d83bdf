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
from pgolf.evidence.curve import Curve
from pgolf.evidence.lines import printable, without_prefix
from pgolf.evidence.run import CurvePoint, Evidence, Problem, ProblemKind, Run, Sourced, T, stage_kind
from pgolf.evidence.scores import add_stage, is_running, read_score
from pgolf.evidence.sizes import Sizes, read_sizes
from pgolf.stages import StageKind

LOOKED_AT = 2048  # characters of a line that the patterns see; only dumps of knobs are longer
MOST_KNOBS, MOST_PROBLEMS, MOST_GPUS = 4000, 50, 1024


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
        self.before: Run | None = None  # the run that a line has ended by beginning another
        self._fresh()

    def _fresh(self) -> None:
        self.run = Run(log=self.path)
        self.train, self.val = Curve(self.name), Curve(self.name)
        self.facts = False  # whether the log has said anything of a run
        self.begun = False  # whether it is past its knobs: a step or a score came
        self.in_knobs = self.flat_knobs = False  # inside a dump of knobs; one without indentation
        self.in_source = False
        self.writes_itself = False  # whether the model writes the text that its quantisation is calibrated on
        self.kind: StageKind = "other"
        self.evaluating: Evidence | None = None  # where an evaluation began whose score is still to come
        self.planned = -1  # steps, by the line of the last one
        self.gpus: set[str] = set()
        self.sizes = Sizes()
        # mentioned in other words than a knob's: before training, and after its beginning, where all may be listed
        self.seeds, self.later_seeds = dict[int, Evidence](), dict[int, Evidence]()
        self.heading, self.headed = "", 0  # the last title, and its line
        self.loss: tuple[float, int] | None = None  # of the validation, alone on a line, and that line
        self.scored, self.timed_itself = 0, False  # the line of the last score, and whether it gives its time
        self.took: tuple[float, int] | None = None  # by a pass whose score is still to come, and that line
        self.only_clock: Sourced[float] | None = None  # of a last step that logs no loss
        self.clock = 0.0  # seconds of training that the steps have shown for certain
        self.stopped = False  # whether the training timer's last word came

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
        if text[:1] in say.BULLETS:
            text = say.BULLET.sub("", text)
        low = text.lower()
        if not low:
            return None
        self.number = number
        if self.in_source and line[0] in " \t":
            return None
        if low[0] == "{" and (self.begun or ('"step"' in low and 'loss"' in low)):
            text = dumps.flattened(line) or text
            low = text.lower()
        elif self.begun and "{" in low:
            text = say.QUOTED_NAME.sub(r"\1", text)
            low = text.lower()
        self.before = None
        if self._step(low) or (not self.begun and self._skip_source(low)):
            return self.before
        if (text[-1:] == ":" or text[:1] in say.RULES) and (title := say.TITLE.fullmatch(text)):
            self.heading, self.headed = title[1] or title[2] or "", number
        if self.begun and not say.FACT.search(low):
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
        last = max(ends, key=lambda p: (p.step, p.seconds is not None, p.at.line), default=None)
        if last and not run.steps:
            run.steps = Sourced(last.step, last.at)
        if not self.stopped and (took := self._last_clock(last)):
            run.train_seconds = took
        seeds = self.seeds or self.later_seeds
        if not run.seed and len(seeds) == 1:
            run.seed = next(Sourced(seed, at) for seed, at in seeds.items())
        if self.evaluating:
            run.problems.append(Problem("unfinished", "an evaluation began, its score never came", self.evaluating))
        run.ended = run.final is not None and self.evaluating is None
        self._fresh()
        return run if facts else None

    def _last_clock(self, last: CurvePoint | None) -> Sourced[float] | None:
        """The training timer at its end, by the last step: where it is known for the last, and not only logged last."""
        if self.only_clock or not last or last.seconds is None:
            return self.only_clock
        over = self.run.stages or self.sizes.found  # what follows training
        validated = self.val.latest and last.step == self.val.latest[0] and last.step % 50  # out of turn: at the end
        return Sourced(last.seconds, last.at) if last.step == self.planned or (over and validated) else None

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
        if not found:
            return False
        loss = say.LOSS.search(low, found.end())
        time = say.STEP_TIME.search(low, found.end()) or say.LAST_TIME.search(low, found.end())
        took = say.seconds(time["number"], time["unit"], time["suffix"]) if time else None
        if not loss:
            if self.begun and took and "train_time" in low:
                self.only_clock = self._here(took)
            clocked = say.CLOCK.match(low, found.end()) is not None
            self.in_source = self.in_source and not clocked
            return clocked
        self.only_clock = None
        last, step = self._last_step(), int(found[1] or found[3])
        if step <= 1 and last > step and not self.run.stages:  # after scores a log may be printed once more
            self.before, last = self.finish(), -1
        if step > last:
            self.run.stages.clear()  # whatever was scored before or during training is not this run's result
        self.facts = self.begun = True
        self.in_source = False
        value = float(loss[3])
        if not math.isfinite(value):
            self._problem("not-finite", low)
            value = math.nan
        if time and took is not None and not self.stopped:
            self.clock = max(self.clock, took - say.rounding(time["number"], time["unit"], time["suffix"]))
        self._curve(loss).add(step, value, took, self.number, say.decimals(loss[3]))
        also = say.LOSS.search(low, loss.end())  # 'train loss 3.1, val loss 3.2'
        if also and self._curve(also) is not self._curve(loss):
            self._curve(also).add(step, float(also[3]), took, self.number, say.decimals(also[3]))
        self.planned = int(found[2] or found[4] or -1)
        if self.planned >= 0:
            self.run.planned_steps = self._here(self.planned)
        self.said = "step"
        return True

    def _curve(self, loss: re.Match[str]) -> Curve:
        """The curve that a loss belongs to."""
        return self.val if loss[1] in ("val", "test", "eval") or loss[2] else self.train

    def _last_step(self) -> int:
        """The greatest step of the last losses; -1 before the first."""
        return max((curve.latest[0] for curve in (self.train, self.val) if curve.latest), default=-1)

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
        if "seed" in low and not self.run.seed:
            self._mentions_seed(low)
        if is_running(low):
            self._passing(low)
        elif self._score(text, low):
            if "artifact" in low or "submission" in low:
                self._size(low, self.said)
        elif "running_bpb" in low or say.EVALUATING.match(low):
            self._passing(low)
        elif say.ERROR.match(low):
            self._problem("error", text)
            self.said = "error"
        elif say.STOPPED.search(low):
            self._stopped(low, last_word=True)
        elif (found := say.TRAIN_TIME.match(low)) and (self.begun or found["unit"]):
            self._stopped(low, last_word=False)
        elif (found := say.LOSS_ALONE.match(low)) and not self.run.stages:
            self.facts = self.begun = True
            self.val.add(max(0, self._last_step()), float(found[1]), None, self.number, say.decimals(found[1]))
        elif found := say.PENDING_LOSS.match(low):
            self.loss = float(found[1]), self.number
        elif found := say.TOTAL_EVAL.match(low):
            total = say.seconds(found[2], found[3], found[1])
            self.run.total_eval_seconds = self._here(total) if total else None
        elif not (self._calibration(low) or self._timed(low) or self._size(low)):
            self._about(text, low)

    @property
    def _heading(self) -> str:
        """The title that a line stands under, if it is near."""
        return self.heading if self.number - self.headed <= 5 else ""

    def _mentions_seed(self, low: str) -> None:
        """Remember a seed that is said in other words than a knob's."""
        seeds = self.later_seeds if self.begun else self.seeds
        if (found := say.SEED.search(low)) and len(seeds) < 2:
            seeds.setdefault(int(found[1]), self.at)

    def _passing(self, words: str) -> None:
        """An evaluation runs, of which these lower-cased words tell."""
        self.evaluating, self.said = self.at, "pass"
        self.kind = "ttt" if say.PHASED.match(words) else stage_kind(words.strip(" [(").partition(" ")[0])

    def _score(self, text: str, low: str) -> bool:
        """Whether the line gives a score of the finished model."""
        loss = self.loss[0] if self.loss and self.number - self.loss[1] <= 3 else None
        score = read_score(text, low, self.at, self._heading, loss)
        if score is None or (score.stage.name == "val_bpb" and not self.begun):
            return False
        seeds = {self.run.seed.value} if self.run.seed else self.seeds.keys()
        if score.seed is not None and seeds and {score.seed} != seeds:
            return True  # of another run
        self.facts = self.begun = True
        stage = score.stage
        if not score.finite:
            if stage.val_bpb == 0 and stage.decimals >= 3:  # its exact figure follows
                self.took = (stage.eval_seconds, self.number) if stage.eval_seconds else None
            else:
                self._problem("not-finite", text)
            return True
        if stage.kind != "pre-quant":
            self.evaluating = None
        self.timed_itself, self.scored = stage.eval_seconds is not None, self.number
        if self.took and self.number - self.took[1] <= 2:
            stage = replace(stage, eval_seconds=stage.eval_seconds or self.took[0])
        self.took = None
        adapted = self.run.adaptation_seconds
        if adapted and stage.eval_seconds and stage.kind == "ttt" and adapted.value <= stage.eval_seconds:
            self.run.adaptation_seconds = None  # inside this pass
        self.said, self.kind = "score", stage.kind
        add_stage(self.run.stages, stage)
        if self.sizes.found:
            self._weigh()
        return True

    def _timed(self, low: str) -> bool:
        """Whether the line is the time of a pass, whose score comes just before or after it."""
        if (found := say.ADAPTED.search(low)) and stage_kind(found[0].partition(":")[0]) != "pre-quant":
            took = say.seconds(found[1], found[2])
            self.run.adaptation_seconds = self._here(took) if took else None
            return True
        found = say.EVAL_TOOK.match(low)
        took = say.seconds(found[2], found[3], found[1]) if found else None
        if not took:
            return False
        last = self.run.stages[-1] if self.run.stages else None
        if last and self.number - self.scored <= 4 and (last.eval_seconds or 0.0) <= took and not self.timed_itself:
            self.run.stages[-1] = replace(last, eval_seconds=took)
        else:
            self.took = took, self.number
        return True

    def _stopped(self, low: str, last_word: bool) -> None:
        """Take how long training took: unknown where that is less than the steps before.

        A summary's line is not the timer's `last_word`, and counts only where there was none.
        """
        time, step = say.TRAIN_TIME.search(low) or say.TRAINED_IN.search(low), say.STOP_STEP.search(low)
        took = say.seconds(time["number"], time["unit"], time["suffix"]) if time else None
        if took is not None and (last_word or not self.stopped):
            self.stopped = True
            self.run.train_seconds = self._here(took) if took > 0 and took >= self.clock else None
        if step and last_word and (steps := say.whole(step[1] or step[2])) is not None:
            self.run.steps = self._here(steps)
        self.facts, self.said = True, "stop"

    def _calibration(self, low: str) -> bool:
        """Whether the line tells of a pass over training data for the quantisation."""
        self.writes_itself = self.writes_itself or say.SELF_CALIBRATES.match(low) is not None
        if self.writes_itself:
            return False
        if found := say.CALIBRATED.match(low):
            took = say.seconds(found[1], found[2])
            self.run.calibration_seconds = self.run.calibration_seconds if took is None else self._here(took)
            self.run.calibration = self.run.calibration or self.at
        elif say.CALIBRATES.match(low):
            self.run.calibration = self.at
        else:
            return False
        self.said = "calibration"
        return True

    def _size(self, low: str, said: Said | None = None) -> bool:
        """Whether the line gives sizes; `said` is what else it states."""
        sizes = read_sizes(low, self._heading)
        if not sizes:
            return False
        self.sizes.add(sizes, self.at)
        self.facts = True
        self._weigh()
        self.said = said or ("size" if {"total", "artifact", "model"} & {size.kind for size in sizes} else None)
        return True

    def _weigh(self) -> None:
        """Say by all sizes so far what the artifact weighs."""
        run, sizes = self.run, self.sizes
        parameters = run.parameters.value if run.parameters else 0
        run.model_bytes, run.code_bytes = sizes.model(parameters), sizes.last("code")
        run.source_bytes = sizes.last("source")
        run.artifact_bytes = sizes.artifact(run.final.name if run.final else "", parameters)

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
