"""A speedrun's log → the runs in it that count: whole ones, each with the end that its log really has."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pgolf.evidence import dialect as say
from pgolf.evidence.folder import Unread
from pgolf.evidence.lines import printable, read_lines, without_prefix
from pgolf.evidence.logs import MOST_RUNS, read_runs
from pgolf.evidence.run import CurvePoint, Problem, Run
from pgolf.untrusted import Untrusted, open_regular, read_beginning

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.I)
NUMBERED = re.compile(r"(?<![a-z])(?:seed|run|trial)[_=-]?(\d{1,4})(?!\d)", re.I)  # a log's name: fast_seed3.txt
BEGINNING = 1 << 18  # bytes of a log without a loss, looked at for signs of a run
SIGNS = (say.GPU, say.WORD_FACTS["torch_version"], say.WORD_FACTS["hardware"], re.compile(r"traceback \(most recent"))
WHOLE = 0.9  # of the steps of a log's longest run; what made fewer is a try that was started again
HALF = 0.5  # the same of what made all steps that it had planned; fewer are a preflight
LOOKED_AT = 2048  # characters of such a line
LAST_BYTES = 4096  # of a log, looked at for a line that was cut
USUAL_DECIMALS = 4  # that a log prints of a loss


def unseeded_runs(log: Path, folder: Path, unread: Unread) -> Iterator[Run]:
    """The runs of a log: mostly one.

    A try that was started again in the same log does not count, nor do lines of one step alone, which are a table of
    results: `unread` is told why, by `log.txt` or `log.txt, line 1402`. A run that ended early counts where it is the
    only one of its log.

    Raises
    ------
    BadInput : the log cannot be read.
    """
    name = log.relative_to(folder).as_posix()
    runs = [r for r in read_runs(log, folder) if r.val_curve or r.train_curve]
    if not runs and (UUID.search(log.name) or NUMBERED.search(log.name) or _shows_a_run(log, folder)):
        unread[name] = "no loss of a run in it: the run ended before its first, or the log is cut off"
    longest = max((last_step(r) for r in runs if not _is_table(r, len(runs))), default=0)
    for number, run in enumerate(runs):
        where = f"{name}, line {first_line(run)}" if len(runs) > 1 else name
        if number < len(runs) - MOST_RUNS:
            unread[where] = f"the log has over {MOST_RUNS} runs, of which the last count"
        elif last_step(run) < (HALF if _as_planned(run) else WHOLE) * longest:
            unread[where] = f"a try that ended at step {last_step(run):,}, in one log with a run to step {longest:,}"
        elif _is_table(run, len(runs)):
            unread[where] = f"only losses of step {last_step(run):,}: results, and not the log of a run"
        else:
            if run is runs[-1]:
                _take_back_a_cut_end(run, folder)
            if _points(run):
                yield run
            else:
                unread[where] = "the log ends in the middle of its only loss"


def _shows_a_run(log: Path, folder: Path) -> bool:
    """Whether a log without a loss names the accelerators or the torch of a run, or shows a crash."""
    with suppress(OSError, Untrusted):
        text = read_beginning(log, BEGINNING, folder).decode("utf-8", errors="replace").lower()
        return any(sign.match(line.strip()[:LOOKED_AT]) for line in text.splitlines() for sign in SIGNS)
    return False


def _points(run: Run) -> list[CurvePoint]:
    return [*run.val_curve, *run.train_curve]


def last_step(run: Run) -> int:
    """The greatest step with a loss."""
    return max(p.step for p in _points(run))


def first_line(run: Run) -> int:
    """The line of the first loss."""
    return min(p.at.line for p in _points(run))


def is_one_line(log: Path, folder: Path) -> bool:
    """Whether one line alone of a log begins with a step."""
    return sum(bool(say.STEP.match(without_prefix(text).lower())) for _, text in read_lines(log, folder)) <= 1


def _as_planned(run: Run) -> bool:
    """Whether a run made all of its planned steps."""
    return run.planned_steps is not None and last_step(run) >= run.planned_steps.value


def _is_table(run: Run, of: int) -> bool:
    """Whether lines tell of one step alone: of several runs there, or above the log of one."""
    points = _points(run)
    return len({p.step for p in points}) == 1 and (of > 1 or len({p.loss for p in run.val_curve}) > 1)


def _take_back_a_cut_end(run: Run, folder: Path) -> None:
    """Take back the last loss, or its time, where the log ends in the middle of that number: 3.27 of 3.2774."""
    if not run.val_curve:
        return
    point, line = run.val_curve[-1], _unended_line(run.log, folder)
    step, loss = say.STEP.match(line), say.LOSS.search(line)
    if not (step and loss and loss[1] == "val" and int(step[1] or step[3]) == point.step):
        return
    usual = max((p.decimals for p in run.val_curve[:-1]), default=USUAL_DECIMALS)
    if loss.end() == len(line) and point.decimals < usual:
        run.val_curve.pop()
        text = f"the log ends in the middle of its last loss: {printable(line, 100)}"
        run.problems.append(Problem("unfinished", text, point.at))
    elif (time := say.STEP_TIME.search(line)) and time.end() == len(line) and time["unit"] == "m":  # of ms
        run.val_curve[-1] = replace(point, seconds=None)


def _unended_line(log: Path, folder: Path) -> str:
    """What stands after the last newline, in lower case; '' where a newline ends the file."""
    with open_regular(log, folder) as f:
        f.seek(max(0, f.seek(0, 2) - LAST_BYTES))
        return f.read(LAST_BYTES).rpartition(b"\n")[2].decode("utf-8", errors="replace").strip().lower()
