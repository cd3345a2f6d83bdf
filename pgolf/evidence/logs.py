"""A log file → the runs that it tells of, and which of them count: preflights, restarts and copies apart."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from pgolf.errors import BadInput
from pgolf.evidence.events import beside, joined, read_events, same_run
from pgolf.evidence.lines import printable, read_lines
from pgolf.evidence.parser import Parser
from pgolf.evidence.run import Evidence, Problem, Run
from pgolf.untrusted import Untrusted

MOST_RUNS = 64  # seeds in one log


def read_run(path: Path, relative_to: Path | None = None) -> Run:
    """The real run of a log: its last one, but for shorter tries before or after it.

    Parameters
    ----------
    path : the log; of an events.jsonl, the run that it tells of.
    relative_to : the folder that evidence names files relative to; default: the log's own.

    Returns
    -------
    Run : without any fact if the file tells of no run. An evaluation of the artifact that follows in the same file
        is part of it. Events beside the log are preferred where they tell of the same run, else they are a problem.

    Raises
    ------
    BadInput : the file cannot be read.
    """
    runs = read_seeds(path, relative_to)
    return runs[-1] if runs else Run(log=path)


def read_seeds(path: Path, relative_to: Path | None = None) -> list[Run]:
    """The real runs of a log, one a seed: mostly one, or several seeds that were run one after the other.

    Raises
    ------
    BadInput : the file cannot be read.
    """
    if path.suffix == ".jsonl":
        events = read_events(path, relative_to)
        return [events] if events else []
    real: list[Run] = []
    longest = 0
    for run in read_runs(path, relative_to):
        before = real[-1] if real else None
        if before and reprints(before, run):
            real[-1] = _completed(before, run)
            continue
        if before and before.trained and not run.trained:
            if rescores(before, run):
                real[-1] = rescored(before, run)
            continue
        longest = max(longest, _steps(run))
        if 2 * _steps(run) >= longest:
            real = [r for r in real if r.final and not _may_be_one_seed(r, run)] + [run]
        real = [r for r in real if 2 * _steps(r) >= longest][-MOST_RUNS:]
    return [_with_events(real[0], relative_to)] if len(real) == 1 else real


def reprints(run: Run, later: Run) -> bool:
    """Whether a later part of the log prints a run, or its results, once more: no clock runs twice alike."""
    if not _may_be_one_seed(run, later):
        return False
    if later.trained:
        alike = run.final and later.final and run.final.val_bpb == later.final.val_bpb
        timed = run.train_seconds and later.train_seconds and run.train_seconds.value == later.train_seconds.value
        return bool(alike and timed)
    known = {(s.val_bpb, s.val_loss) for s in run.stages}
    return bool(later.stages) and all((s.val_bpb, s.val_loss) in known for s in later.stages)


def _completed(run: Run, again: Run) -> Run:
    """`run` with what only its second print says."""
    for f in fields(Run):
        if not getattr(run, f.name):
            setattr(run, f.name, getattr(again, f.name))
    return run


def _may_be_one_seed(a: Run, b: Run) -> bool:
    return a.seed is None or b.seed is None or a.seed.value == b.seed.value


def _steps(run: Run) -> int:
    return run.steps.value if run.steps else 0


def _with_events(run: Run, relative_to: Path | None) -> Run:
    for path in beside(run.log):
        try:
            events = read_events(path, relative_to)
        except Untrusted as e:
            text = f"{path.name}: {e.without(path)}"
            run.problems.append(Problem("events", printable(text), Evidence(printable(path.name), 1)))
            continue
        if events and same_run(run, events):
            return joined(run, events)
        others = [p for p in run.log.parent.glob("*.log") if p != run.log]
        if events and (path.name != "events.jsonl" or not others):
            at = Evidence(events.seed.at.file if events.seed else path.name, 1)
            text = f"{path.name} tells of another run than {run.log.name}: seed, steps or scores differ"
            run.problems.append(Problem("events", printable(text), at))
    return run


def rescores(run: Run, later: Run) -> bool:
    """Whether a later run of the same log is an evaluation of this one's artifact."""
    return run.trained and not later.trained and later.final is not None and _may_be_one_seed(run, later)


def rescored(run: Run, evaluation: Run) -> Run:
    """`run` with the score of a later evaluation of its artifact, whose passes replace those of the same kind."""
    again = {s.kind for s in evaluation.stages}
    run.stages = [s for s in run.stages if s.kind not in again] + evaluation.stages
    run.hyperparameters = run.hyperparameters | evaluation.hyperparameters
    run.total_eval_seconds = evaluation.total_eval_seconds
    run.problems += evaluation.problems
    run.ended = evaluation.ended
    run.scored_in = evaluation.log
    return run


def read_runs(path: Path, relative_to: Path | None = None) -> Iterator[Run]:
    """All runs of a log, in order and one at a time: preflights, restarts and separate evaluations too.

    Raises
    ------
    BadInput : the file cannot be read.
    """
    name = path.relative_to(relative_to).as_posix() if relative_to else path.name
    parser = Parser(path, printable(name))
    try:
        for number, line in read_lines(path, relative_to):
            if run := parser.feed(number, line):
                yield run
    except OSError as e:
        raise BadInput(f"cannot read the log {path}: {e.strerror}") from None
    if run := parser.finish():
        yield run
