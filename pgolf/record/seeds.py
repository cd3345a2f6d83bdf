"""One seed to its end on a pod: taken up where it stands, never run twice at once, never replaced for its score.

    seeds/<seed>/attempt-<n>/     a pod's folder each

Every start is an attempt that is kept and counted. Only a run that was taken down from outside (a signal, a dead
machine) is started anew; one that failed by itself stays failed, and so does a speedrun's that told its last loss.
"""

import logging
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pgolf.errors import RunFailed
from pgolf.evidence.events import EVENTS
from pgolf.evidence.lines import printable, without_prefix
from pgolf.evidence.plan import Attempt
from pgolf.files import sha256_file
from pgolf.pods import Gone, Place, Pod, Status
from pgolf.pods.local import LocalPod, ThisMachine
from pgolf.program import LOGS
from pgolf.record.attempt_files import fitting
from pgolf.record.disk import full_disk
from pgolf.record.early_stop import Decision, read_decision, write_decision
from pgolf.record.job import Job
from pgolf.record.progress import Progress
from pgolf.record.results import LOG, LOG_MOST, RESULT, read_result, refuse, settle
from pgolf.record.run_results import OTHER_LOGS, settle_run, tells_its_end
from pgolf.record.stopping import Stop

log = logging.getLogger(__name__)
POLL_S = 0.5
LAST_BYTES = 1 << 16  # of a log, that its last words are looked for in
CAUSE = re.compile(r"\s*traceback : (Signal \d.*)")  # by torchrun, the first rank that failed last
LAUNCHERS = re.compile(r"torch\.distributed\.\S*(?:ChildFailedError|SignalException)")


class TakenDown(RunFailed):
    """The run was ended from outside; the same seed may be started again, as another attempt."""


class EndedEarly(RunFailed):
    """The run was ended because it could not count any more; its seed is not started again."""


class NoResult(RunFailed):
    """The run was ended, or has ended by itself, without a result."""


class Stopped(RunFailed):
    """The record is being stopped, and the run with it."""


class Left(RunFailed):
    """The run goes on, and nobody watches it any more; the same command takes it up."""


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
    set, the run is ended with every process it made, unless that `leaves`: then it goes on. `watch` is called with the
    run's progress twice a second, and so is `judge`, which may decide to end it.

    Raises
    ------
    Stopped, Left : `stop` was set.
    EndedEarly : it was decided, now or by an earlier process, to end it.
    TakenDown : the run was ended from outside.
    RunFailed : it failed by itself; the message gives the reason from its log.
    """
    label = f"{job.name} {seed}"
    pod = _attempt(job, seed, place or ThisMachine())
    try:
        _start(pod, job, seed, stop)
        _follow(pod, job, label, stop, watch, judge)
        _end_rest(pod, job)
        files = pod.fetch() if pod.status().state == "ended" else {}
        _check_ending(pod, job, seed, stop)
        if not job.program.ours:
            files = {**files, **_check_result(pod, job, seed, label)}
        return Finished(pod.folder, files)
    except Gone as e:
        _check_decision(pod, label)
        raise (Stopped if stop.is_set() else TakenDown)(f"{label}, {pod.folder.name}: {e}") from e
    finally:
        if not _leaves(stop):
            pod.release()  # also when the watcher itself is interrupted: no run is left behind


def _leaves(stop: threading.Event) -> bool:
    return isinstance(stop, Stop) and stop.leaves


def _attempt(job: Job, seed: int, place: Place) -> Pod:
    """The pod of the last attempt, as it stands; of a next one, where that was taken down or of another program."""
    folders = attempt_folders(job.folder / str(seed))
    if job.anew:
        for folder in folders:
            LocalPod(folder).kill()
    elif folders:
        pod = place.open(folders[-1])
        status = pod.status()
        result = read_result(pod.folder)
        failed = status.exit_code or (result and result.refused)
        if not job.retry_failed and (read_decision(pod.folder) or (result and result.refused)):
            return pod
        if not (status.infrastructure or (job.retry_failed and failed)):
            return pod
        with suppress(Gone):
            if status.state == "ended":
                pod.fetch()  # what it left is kept, also from a machine elsewhere
        for folder in folders:
            LocalPod(folder).kill()  # what a killed supervisor left behind
        if _refuse_told(pod, job, seed):
            return pod
        pod.release()
    return place.open(job.folder / str(seed) / f"attempt-{len(folders) + 1}")


def _start(pod: Pod, job: Job, seed: int, stop: threading.Event) -> None:
    state = pod.status().state
    if state == "fresh":
        if stop.is_set():
            raise Stopped(f"{job.name} {seed}: not started, the record is being stopped")
        for name, source in {**{name: job.source / name for name in job.program.files}, **job.given}.items():
            pod.put(source, name)
        pod.start(job.command, job.variables(seed))
    how = {"fresh": "started", "running": "still running since before, taken up"}.get(state, "reused, ended before")
    log.info("%s %s: %s (%s)", job.name, seed, how, pod.folder.name)


def _follow(
    pod: Pod,
    job: Job,
    label: str,
    stop: threading.Event,
    watch: Callable[[Progress], None],
    judge: Callable[[Progress], Decision | None],
) -> None:
    """Watch a pod until its command has ended; `stop` ends it, and so does what `judge` decides, and a program that
    prints or works without end."""
    progress, offset, log_offset = Progress(clock=job.clock), 0, 0
    decision, refused = read_decision(pod.folder), False
    while True:
        status = pod.status()  # asked before reading, so that nothing of its last words is missed
        text, offset = _more(pod, offset, EVENTS)
        progress.feed(text)
        printed, log_offset = _more(pod, log_offset, LOG)
        progress.elapsed = (status.ended or time.time()) - (status.started or time.time())
        more = bool(text or printed)  # there may be: a pod gives it in parts
        if not job.program.ours:
            progress.feed_log(printed)
            if status.state == "ended" and not more:
                progress.finish(status.exit_code == 0)
        watch(progress)
        if status.state != "running":
            if more and not refused and not stop.is_set():
                continue
            return
        refused = refused or _refuse_endless(pod, job, progress.elapsed)
        decision = decision or _decide(pod, label, judge(progress))
        if decision or refused or stop.wait(POLL_S):
            if _leaves(stop):
                raise Left(f"{label}, {pod.folder.name}: it goes on, and is taken up by the next start")
            pod.kill()


def _more(pod: Pod, offset: int, name: str) -> tuple[str, int]:
    """What a file has from `offset` on, and the next offset; a pod elsewhere is mirrored as it is read.

    After LOG_MOST bytes no more is read: watching has to come to an end, too.
    """
    return pod.output(offset, name) if offset <= LOG_MOST else ("", offset)


def _refuse_endless(pod: Pod, job: Job, elapsed: float) -> bool:
    """Refuse a run that prints or works without end, written down before it is ended; whether it was."""
    most, run_id = job.most_seconds, job.run_id(int(pod.folder.parent.name))
    names = [LOG, EVENTS, *(name.replace("{run_id}", run_id) for name in (job.program.log or "", *LOGS))]
    names += fitting(pod.folder, job.program, OTHER_LOGS) if job.by_loss else []
    reason = None
    if long := [name for name in names if _size(pod.folder / name) > LOG_MOST]:
        reason = f"{long[0]} has more than {LOG_MOST:,} bytes"
    elif most is not None and elapsed > most:
        reason = f"it has not ended {most:,.0f} s after its start, " + (
            "the track's most_seconds" if job.by_loss else "the track's limits and all that is granted beside them"
        )
    if reason and not job.program.ours:
        refuse(pod.folder, reason)
        return True
    return False


def _refuse_told(pod: Pod, job: Job, seed: int) -> bool:
    """Refuse a run that was taken down after it had told its last loss, so that no bad one is drawn again; whether it
    was."""
    if not job.by_loss or job.retry_failed or not tells_its_end(pod.folder, job.program, job.run_id(seed)):
        return False
    refuse(pod.folder, "it was ended after its last loss; it is not made again")
    return True


def _end_rest(pod: Pod, job: Job) -> None:
    """End what a program has left running, so that nothing writes into its folder while that is judged and hashed.

    If its supervisor comes to its end only now, the program has written over the files that said it had ended.
    """
    before = pod.status()
    pod.kill()
    after = pod.status()
    if not job.program.ours and after.state == "ended" and after != before:
        refuse(pod.folder, "it has written over pod.json or exit.json, which say how it ended")


def _size(path: Path) -> int:
    with suppress(OSError):
        return os.lstat(path).st_size
    return 0


def _check_result(pod: Pod, job: Job, seed: int, label: str) -> dict[str, str]:
    """RunFailed unless a program that has ended well has left a result; the hash of the file that says so, by name."""
    if job.by_loss:
        result = settle_run(pod.folder, job.program, job.run_id(seed))
    else:
        result = settle(pod.folder, job.program, seed)
    if result.refused:
        raise NoResult(f"{label}, {pod.folder.name}: no result: {result.refused} (log: {pod.folder / result.log})")
    return {RESULT: sha256_file(pod.folder / RESULT)}


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


def _check_ending(pod: Pod, job: Job, seed: int, stop: threading.Event) -> None:
    status, label = pod.status(), f"{job.name} {seed}"
    if status.state == "ended" and status.exit_code == 0:
        return
    _check_decision(pod, label)
    where = f"{label}, {pod.folder.name}"
    if status.infrastructure and not read_result(pod.folder):
        _refuse_told(pod, job, seed)
    result = read_result(pod.folder)
    if result and result.refused:
        raise NoResult(f"{where}: no result: {result.refused} (log: {pod.folder / LOG})")
    if status.infrastructure and (full := full_disk(job.folder)):  # another attempt would find no room either
        raise RunFailed(f"{where}: {full}; free some, and the same command goes on")
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
        number = -status.exit_code
        known = number in set(signal.Signals)  # those of real time have no name
        return f"ended by {signal.Signals(number).name if known else f'signal {number}'}"
    if status.disk_full:
        return f"exit code {status.exit_code} on a full disk"
    return "stopped when told to" if status.interrupted else f"exit code {status.exit_code}"


def last_words(pod: Pod) -> str:
    """The last line that a pod's command printed: the trainer's reason, where it failed.

    A line that begins with 'error', or else the end of Python's last traceback, is preferred to what a launcher says of
    it afterwards.
    """
    path = pod.folder / LOG
    text, _ = pod.output(max(0, path.stat().st_size - LAST_BYTES) if path.exists() else 0, LOG)
    lines = [line for line in map(without_prefix, text.splitlines()) if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")] or [*ends_of_tracebacks(lines)]
    causes = [found[1] for line in lines if (found := CAUSE.match(line))]
    return printable((errors or causes or lines or ["it printed nothing"])[-1], 300)


def ends_of_tracebacks(lines: Sequence[str]) -> Iterator[str]:
    """The last line of each of Python's tracebacks, which names the exception; a launcher's own are left out."""
    inside = False
    for line in lines:
        if line.startswith("Traceback (most recent call last)"):
            inside = True
        elif inside and not line.startswith((" ", "\t")):
            inside = False
            if not LAUNCHERS.match(line):
                yield line


def attempt_folders(folder: Path) -> list[Path]:
    """The attempts at one seed, oldest first."""
    return sorted(folder.glob("attempt-*"), key=lambda p: int(p.name.removeprefix("attempt-")))


def attempts(record: Path, seeds: Sequence[int], below: str = "seeds") -> tuple[Attempt, ...]:
    """Every ended attempt at `seeds` in a record's folder, or at a variant's runs in another folder `below` it: the
    good, the failed and the stopped ones."""
    return tuple(a for seed in seeds for a in _attempts_at(record, seed, below))


def _attempts_at(record: Path, seed: int, below: str) -> Iterator[Attempt]:
    for number, folder in enumerate(attempt_folders(record / below / str(seed)), start=1):
        pod = LocalPod(folder)
        status = pod.status()
        if status.state in ("fresh", "running"):
            continue
        decision, result = read_decision(folder), read_result(folder)
        refused = result.refused if result else None
        outcome = "failed" if refused else _outcome(status, decision)
        why = refused or (decision.reason if decision else f"{describe(status)}: {last_words(pod)}")
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
    status = LocalPod(folders[-1]).status() if folders and not job.anew else Status("fresh")
    if status.state != "ended":
        return False
    return not status.infrastructure or read_decision(folders[-1]) is not None or read_result(folders[-1]) is not None


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
