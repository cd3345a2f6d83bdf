"""Run one candidate to its score on a pod: only the part of a run that it needs, and never twice.

base/<seed>/attempt-<n>/             the training that all candidates of a seed share
trials/<key>/<seed>/attempt-<n>/     a candidate's pod
trials/<key>/<seed>.json             its result; the base's, too, as key 'base'
"""

import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from pgolf.errors import BadInput, RunFailed
from pgolf.evidence.logs import read_run
from pgolf.evidence.run import stage_kind
from pgolf.files import write_json
from pgolf.ledger import ScoredSha256, seed_score
from pgolf.pace import projected_end
from pgolf.pods import Place
from pgolf.program import Program
from pgolf.record.job import Job
from pgolf.record.progress import Progress
from pgolf.record.results import ARTIFACT, LOG
from pgolf.record.seeds import Stopped, TakenDown, run_seed
from pgolf.stages import OF_THE_ARTIFACT
from pgolf.sweep.candidates import Candidate, Needs
from pgolf.untrusted import Untrusted, read_json

log = logging.getLogger(__name__)
CHECKPOINT = "checkpoint.pt"
GIVEN = {"artifact": "given.ptz", "checkpoint": "given.pt"}  # as a pod's program finds the base's file
MOST_BYTES = 1 << 20  # of a trial's result
PATIENCE = 0.1  # of the limit: what an evaluation has taken before its pace tells anything
SLACK = 0.25  # of what is left: an estimate that is over by less may be wrong


@dataclass(frozen=True)
class Trial:
    """The result of a candidate. Times are seconds, sizes bytes (code and model); None is unknown.

    'stopped': it was bound to miss the limit on evaluation, as `reason` says; 'failed': the run itself failed.
    """

    settings: Mapping[str, str]
    seed: int
    state: Literal["scored", "stopped", "failed"]
    folder: str
    val_bpb: float | None = None
    val_loss: float | None = None
    scored_sha256: ScoredSha256 = None
    eval_seconds: float | None = None
    artifact_bytes: int | None = None
    reason: str | None = None

    @property
    def candidate(self) -> Candidate:
        return Candidate(tuple(sorted(self.settings.items())))


@dataclass
class Bench:
    """Where candidates are tried: a folder, which holds the program's files, too; the program and environment that all
    share; a place for pods.

    `given`: a finished artifact or checkpoint instead of a training here. `eval_limit`: seconds of evaluation over
    which a candidate is stopped; None for no limit.
    """

    folder: Path
    program: Program
    environment: Mapping[str, str]
    nproc: int
    eval_limit: float | None = None
    given: Mapping[Needs, Path] = field(default_factory=dict)
    place: Place | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    def known(self, candidate: Candidate, seed: int) -> Trial | None:
        """The result of a candidate; None if it has not been tried."""
        path = self._result(candidate, seed)
        return _read(path) if os.path.lexists(path) else None

    def all_known(self) -> list[Trial]:
        """Everything that has ever been tried in this folder."""
        paths = sorted(self.folder.glob("trials/*/*.json"))
        return [_read(path) for path in paths]

    def _result(self, candidate: Candidate, seed: int) -> Path:
        return self.folder / "trials" / candidate.key / f"{seed}.json"

    def run(self, candidate: Candidate, seed: int, watch: Callable[[Progress], None] = lambda progress: None) -> Trial:
        """Try a candidate, or return the result that it has.

        Raises
        ------
        Stopped, TakenDown : the run was ended from outside, and may be taken up.
        RunFailed : the base failed.
        """
        if known := self.known(candidate, seed):
            return known
        job = self._job(candidate, seed)
        clock = Clock(self.eval_limit if candidate.settings else None, self.stop)  # of the base the others take files
        try:
            folder = run_seed(job, seed, clock.ended, clock.watching(watch), self.place).folder
            trial = self._score(candidate, seed, folder)
        except (Stopped, TakenDown):
            if clock.expected is None:
                raise
            reason = f"bound to take {clock.expected:.1f} s of evaluation, the limit is {self.eval_limit:g} s"
            trial = self._trial(candidate, seed, "stopped", job.folder / str(seed), reason=reason)
        except RunFailed as e:
            if job.name == "base":
                raise
            trial = self._trial(candidate, seed, "failed", job.folder / str(seed), reason=str(e))
        write_json(self._result(candidate, seed), asdict(trial))
        for copied in (job.folder / str(seed)).glob(f"attempt-*/{GIVEN['checkpoint']}"):
            copied.unlink()  # as large as a few models, and the base has it
        return trial

    def takes(self, candidate: Candidate) -> Needs:
        """How much of a run a candidate takes here: those that take as much go alike."""
        if not candidate.settings and not self.given:
            return "training"
        if candidate.needs == "artifact" and self.given and "artifact" not in self.given:
            return "checkpoint"  # of a given checkpoint there is no artifact yet
        return candidate.needs

    def _job(self, candidate: Candidate, seed: int) -> Job:
        """The job of a pod: the whole run, or the part from the base's checkpoint or artifact on."""
        environment = {**self.environment, **{name.upper(): text for name, text in candidate.settings}}
        job = Job(
            candidate.label, self.folder / "trials" / candidate.key, self.program, self.folder, environment, self.nproc
        )
        if not candidate.settings and not self.given:
            # a checkpoint of the end is what candidates of quantisation start from
            environment = {"CHECKPOINT_EVERY": str(1 << 30), **environment}
            return replace(job, name="base", folder=self.folder / "base", environment=environment)
        needs = self.takes(candidate)
        if needs == "training":
            return job
        source = self.given.get(needs) or self._base(seed) / (ARTIFACT if needs == "artifact" else CHECKPOINT)
        if not source.is_file():
            raise BadInput(f"{candidate.label}: needs {source}, which is missing")
        knob = "EVAL_ONLY" if needs == "artifact" else "RESUME_FROM_CKPT"
        return replace(job, environment={**environment, knob: GIVEN[needs]}, given={GIVEN[needs]: source})

    def _base(self, seed: int) -> Path:
        base = self.known(Candidate(), seed)
        if base is None:
            raise RunFailed(f"the base of seed {seed} has not come to its end")
        return self.folder / base.folder

    def _score(self, candidate: Candidate, seed: int, folder: Path) -> Trial:
        """The scores in a finished pod's log."""
        run = read_run(folder / LOG)
        score = seed_score(run)
        size = score.artifact_bytes
        if size is None and "artifact" in self.given:
            size = self.given["artifact"].stat().st_size + self.program.code_bytes
        elif size is None and (base := self.known(Candidate(), seed)):
            size = base.artifact_bytes  # it was only evaluated
        return self._trial(
            candidate,
            seed,
            "scored",
            folder,
            val_bpb=score.val_bpb,
            val_loss=score.val_loss,
            scored_sha256=run.scored_sha256.value if run.scored_sha256 else None,
            eval_seconds=score.eval_seconds,
            artifact_bytes=size,
        )

    def _trial(self, candidate: Candidate, seed: int, state: Any, folder: Path, **facts: Any) -> Trial:
        relative = folder.relative_to(self.folder).as_posix()
        return Trial(dict(candidate.settings), seed, state, relative, **facts)


class Clock:
    """Ends a run whose evaluation is bound to miss `limit`, and any run when `stop` is set.

    `ended` is the event that ends it; `expected` the seconds that the evaluation would have taken, once it is out.
    """

    def __init__(self, limit: float | None, stop: threading.Event) -> None:
        self.limit, self.stop, self.ended = limit, stop, threading.Event()
        self.expected: float | None = None
        if stop.is_set():
            self.ended.set()  # what has not begun is not begun

    def watching(self, watch: Callable[[Progress], None]) -> Callable[[Progress], None]:
        """`watch`, and look at the clock at each call."""

        def look(progress: Progress) -> None:
            watch(progress)
            if self.stop.is_set():
                self.ended.set()
            elif self.limit is not None and not self.ended.is_set():
                self.expected = hopeless(progress, self.limit)
                if self.expected is not None:
                    self.ended.set()

        return look


def hopeless(progress: Progress, limit: float) -> float | None:
    """Seconds that all passes over the artifact will take together, if they are bound to miss `limit`; else None.

    Counts the stages that have begun; further ones only add. None before PATIENCE of the limit has gone by, or while
    the estimate is over the limit by less than SLACK of what is left.
    """
    passes = {stage: at for stage, at in progress.begun.items() if stage_kind(stage) in OF_THE_ARTIFACT}
    if progress.stage not in passes:
        return None
    begun = min(passes.values())
    spent = progress.heard - begun
    if not progress.fraction or spent < PATIENCE * limit:
        return None
    end = projected_end((passes[progress.stage], 0.0), (progress.heard, progress.fraction), total=1.0)
    if end is None:
        return None
    expected = end - begun
    return expected if expected - limit > SLACK * max(0.0, limit - spent) else None


def _read(path: Path) -> Trial:
    try:
        return TypeAdapter(Trial).validate_python(read_json(path, MOST_BYTES, path.parent))
    except ValidationError as e:
        raise Untrusted(f"{path}: not what a trial leaves: {e.errors()[0]['msg']}") from None
