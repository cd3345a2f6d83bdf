"""One seed to its end on a pod: taken up where it stands, never run twice at once, never replaced for its score.

    seeds/<seed>/attempt-<n>/     a pod's folder each

Every start is an attempt that is kept and counted. Only a run that was taken down from outside (a signal, a dead
machine) is started anew; one that failed by itself stays failed.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pgolf.errors import RunFailed
from pgolf.evidence.plan import Attempt
from pgolf.pods import PYTHON, Gone, Place, Pod, Status
from pgolf.pods.local import LocalPod, ThisMachine
from pgolf.record.early_stop import Decision, read_decision, write_decision
from pgolf.record.progress import Progress

log = logging.getLogger(__name__)
PROGRAM, LOG, EVENTS, ARTIFACT = "train_gpt.py", "train.log", "events.jsonl", "final_model.int6.ptz"
POLL_S = 0.5


class TakenDown(RunFailed):
    """The run was ended from outside; the same seed may be started again, as another attempt."""


class EndedEarly(RunFailed):
    """The run was ended because it could not count any more; its seed is not started again."""


class Stopped(RunFailed):
    """The record is being stopped, and the run with it."""


@dataclass(frozen=True)
class Job:
    """The program and settings that every seed of one kind runs.

    `name` is what one of them is called before its number; `folder` holds a folder a seed; `program` is the packed
    trainer; `environment` is handed to it besides its seed; `nproc` ranks; `retry_failed` is for trial runs, which
    are no attempts at a record; `given` are files put beside the program, by the name that they get there.
    """

    name: str
    folder: Path
    program: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    nproc: int = 1
    retry_failed: bool = False
    given: Mapping[str, Path] = field(default_factory=dict)

    def command(self) -> list[str]:
        """How a pod starts the program: plainly, or by torchrun where it takes several ranks."""
        if self.nproc == 1:
            return [PYTHON, PROGRAM]
        torchrun = [PYTHON, "-m", "torch.distributed.run", "--standalone"]
        return [*torchrun, f"--nproc_per_node={self.nproc}", PROGRAM]


def share_cores(runs: int, nproc: int, parallel: int | None = None) -> tuple[int, int]:
    """How many of `runs` go at the same time on this machine's cores, and how many threads each rank gets.

    Examples
    --------
    >>> share_cores(3, 1, parallel=1)[0]
    1
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    slots = max(1, cores // nproc)
    at_once = min(runs, parallel or (runs if runs <= 2 * slots else slots))  # crowded beats a half-empty second round
    return at_once, max(1, cores // (at_once * nproc))


@dataclass(frozen=True)
class Finished:
    """The attempt that brought a seed to its end: its folder, and SHA-256 by path of the files in it."""

    folder: Path
    files: Mapping[str, str]


def run_seed(
    job: Job,
    seed: int,
    stop: threading.Event,
    watch: Callable[[Progress], None] = lambda progress: None,
    place: Place | None = None,
    judge: Callable[[Progress], Decision | None] = lambda progress: None,
) -> Finished:
    """Bring one seed to its end on a pod of `place` (this machine), and its files home.

    A finished attempt is returned as it is, a running one is taken up, and only else is one started. When `stop` is
    set, the run is ended with every process it made. `watch` is called with the run's progress twice a second, and so
    is `judge`, which may decide to end it.

    Raises
    ------
    Stopped : `stop` was set.
    EndedEarly : it was decided, now or by an earlier process, to end it.
    TakenDown : the run was ended from outside.
    RunFailed : it failed by itself; the message gives the reason from its log.
    """
    label = f"{job.name} {seed}"
    pod = _attempt(job, seed, place or ThisMachine())
    try:
        _start(pod, job, seed, stop)
        _follow(pod, label, stop, watch, judge)
        files = pod.fetch() if pod.status().state == "ended" else {}
        _check_ending(pod, label, stop)
        return Finished(pod.folder, files)
    except Gone as e:
        _check_decision(pod, label)
        raise (Stopped if stop.is_set() else TakenDown)(f"{label}, {pod.folder.name}: {e}") from e
    finally:
        pod.release()  # also when the watcher itself is interrupted: no run is left behind


def _attempt(job: Job, seed: int, place: Place) -> Pod:
    """The pod of the last attempt, as it stands; of a next one, where that was taken down."""
    folders = attempt_folders(job.folder / str(seed))
    if folders:
        pod = place.open(folders[-1])
        status = pod.status()
        if read_decision(pod.folder) or not (status.infrastructure or (job.retry_failed and status.exit_code)):
            return pod
        with suppress(Gone):
            if status.state == "ended":
                pod.fetch()  # what it left is kept, also from a machine elsewhere
        pod.release()
        for folder in folders:
            LocalPod(folder).kill()  # what a killed supervisor left behind
    return place.open(job.folder / str(seed) / f"attempt-{len(folders) + 1}")


def _start(pod: Pod, job: Job, seed: int, stop: threading.Event) -> None:
    state = pod.status().state
    if state == "fresh":
        if stop.is_set():
            raise Stopped(f"{job.name} {seed}: not started, the record is being stopped")
        for name, source in {PROGRAM: job.program, **job.given}.items():
            pod.put(source, name)
        pod.start(job.command(), {**job.environment, "SEED": str(seed), "RUN_ID": f"seed{seed}"})
    how = {"fresh": "started", "running": "still running since before, taken up"}.get(state, "ended before")
    log.info("%s %s: %s (%s)", job.name, seed, how, pod.folder.name)


def _follow(
    pod: Pod,
    label: str,
    stop: threading.Event,
    watch: Callable[[Progress], None],
    judge: Callable[[Progress], Decision | None],
) -> None:
    """Watch a pod until its command has ended; `stop` ends it, and so does what `judge` decides."""
    progress, offset, log_offset = Progress(), 0, 0
    decision = read_decision(pod.folder)
    while True:
        status = pod.status()  # asked before reading, so that nothing of its last words is missed
        text, offset = pod.output(offset, EVENTS)
        progress.feed(text)
        _, log_offset = pod.output(log_offset, LOG)  # a pod elsewhere is mirrored as it is read
        progress.elapsed = (status.ended or time.time()) - (status.started or time.time())
        watch(progress)
        if status.state != "running":
            return
        decision = decision or _decide(pod, label, judge(progress))
        if decision or stop.wait(POLL_S):
            pod.kill()


def _decide(pod: Pod, label: str, decision: Decision | None) -> Decision | None:
    """Write a decision down before the run is ended: whoever comes next must not take it for a crash."""
    if decision is None:
        return None
    try:
        write_decision(pod.folder, decision)
    except OSError as e:
        log.warning("%s: is to be ended early, but that cannot be written down: %s", label, e.strerror)
        return None  # what is not written is not done
    log.warning("%s: ended early: %s", label, decision.reason)
    return decision


def _check_ending(pod: Pod, label: str, stop: threading.Event) -> None:
    status = pod.status()
    if status.state == "ended" and status.exit_code == 0:
        return
    _check_decision(pod, label)
    where = f"{label}, {pod.folder.name}"
    if status.infrastructure:
        raise (Stopped if stop.is_set() else TakenDown)(f"{where}: {describe(status)}")
    raise RunFailed(f"{where}: {describe(status)}: {last_words(pod)} (log: {pod.folder / LOG})")


def _check_decision(pod: Pod, label: str) -> None:
    if decision := read_decision(pod.folder):
        raise EndedEarly(f"{label}, {pod.folder.name}: ended early: {decision.reason}")


def describe(status: Status) -> str:
    """How a command ended, in a few words."""
    if status.state == "lost":
        return "gone without a word (its machine or supervisor was killed)"
    if status.exit_code is not None and status.exit_code < 0:
        return f"ended by {signal.Signals(-status.exit_code).name}"
    if status.disk_full:
        return f"exit code {status.exit_code} on a full disk"
    return "stopped when told to" if status.interrupted else f"exit code {status.exit_code}"


def last_words(pod: Pod) -> str:
    """The last line that a pod's command printed: the trainer's reason, where it failed."""
    text, _ = pod.output(0, LOG)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return (errors or lines or ["it printed nothing"])[-1][:300]


def attempt_folders(folder: Path) -> list[Path]:
    """The attempts at one seed, oldest first."""
    return sorted(folder.glob("attempt-*"), key=lambda p: int(p.name.removeprefix("attempt-")))


def attempts(record: Path, seeds: Sequence[int]) -> tuple[Attempt, ...]:
    """Every ended attempt at `seeds` in a record's folder: the good, the failed and the stopped ones."""
    return tuple(a for seed in seeds for a in _attempts_at(record, seed))


def _attempts_at(record: Path, seed: int) -> Iterator[Attempt]:
    for number, folder in enumerate(attempt_folders(record / "seeds" / str(seed)), start=1):
        pod = LocalPod(folder)
        status = pod.status()
        if status.state in ("fresh", "running"):
            continue
        decision = read_decision(folder)
        outcome = _outcome(status, decision)
        why = decision.reason if decision else f"{describe(status)}: {last_words(pod)}"
        yield Attempt(
            seed=seed,
            number=number,
            outcome=outcome,
            folder=os.path.relpath(folder, record),
            started=_iso(status.started),
            ended=_iso(status.ended),
            exit_code=status.exit_code,
            reason=None if outcome == "finished" else why,
        )


def has_ended(job: Job, seed: int) -> bool:
    """Whether a seed's last attempt has come to its end here, and nothing is left to be done for it."""
    folders = attempt_folders(job.folder / str(seed))
    status = LocalPod(folders[-1]).status() if folders else Status("fresh")
    return status.state == "ended" and (not status.infrastructure or read_decision(folders[-1]) is not None)


def _outcome(
    status: Status, decision: Decision | None
) -> Literal["finished", "failed", "stopped", "lost", "ended early"]:
    if status.state == "ended" and status.exit_code == 0:
        return "finished"
    if decision:
        return "ended early"
    if status.state == "lost":
        return "lost"
    return "stopped" if status.infrastructure else "failed"


def _iso(unix: float | None) -> str | None:
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="seconds") if unix else None
