"""What a run of a speedrun has left: the log that has its last validation loss, or why there is no result.

Such programs keep their log in a file that they name themselves, by a UUID, and print less of it.
"""

import math
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pgolf.errors import BadInput
from pgolf.evidence.logs import read_run
from pgolf.evidence.run import CurvePoint, Run
from pgolf.program import LOGS, Program
from pgolf.record.attempt_files import brought, file_problem, fitting, is_inside
from pgolf.record.results import LOG, LOG_MOST, RESULT, RESULT_MOST, Result, read_result, write_result
from pgolf.untrusted import Untrusted, read_json

OTHER_LOGS = "logs/*.txt"
MOST_LOGS = 16  # in an attempt's folder; a run writes one, or one a rank


@dataclass(frozen=True)
class _Told:
    """A log by its name in the attempt's folder, and the run that it tells of."""

    name: str
    run: Run

    @property
    def last(self) -> CurvePoint | None:
        """The last validation loss, also one that is not finite."""
        return self.run.val_curve[-1] if self.run.val_curve else None

    @property
    def richness(self) -> tuple[bool, int, bool]:
        """A log with more of this counts; of two with as many losses the program's own, which has its source, too."""
        return self.last is not None, len(self.run.val_curve) + len(self.run.train_curve), self.name != LOG


def settle_run(attempt: Path, program: Program, run_id: str) -> Result:
    """The result of a run whose program has ended with exit code 0: its log, or why it is none.

    Judges the attempt's files and writes result.json, unless a refusal is there already; any other that is there may
    be the program's own word.

    Raises
    ------
    RunFailed : result.json cannot be written.
    """
    kept = read_result(attempt)
    if kept and kept.refused:
        return kept
    result = _judge(attempt, program, run_id)
    write_result(attempt, result)
    return result


def log_of(attempt: Path) -> str | None:
    """The name of the log that has the result of a finished run; None if it has none, or none that can be used."""
    if file_problem(attempt, RESULT, RESULT_MOST):
        return None
    try:
        content = read_json(attempt / RESULT, RESULT_MOST, attempt)
        log, refused = content["log"], content["refused"]
    except (Untrusted, LookupError, TypeError):
        return None
    good = isinstance(log, str) and refused is None and is_inside(log) and not file_problem(attempt, log, LOG_MOST)
    return log if good else None


def tells_its_end(attempt: Path, program: Program, run_id: str) -> bool:
    """Whether a log of a run, however that ended, has the validation loss of the last step that it planned."""
    for name in _logs(attempt, program, run_id):
        if file_problem(attempt, name, LOG_MOST) or brought(attempt, program, name):
            continue
        with suppress(BadInput):
            run = read_run(attempt / name, attempt)
            if run.val_curve and run.planned_steps and run.val_curve[-1].step >= run.planned_steps.value > 0:
                return True
    return False


def _judge(attempt: Path, program: Program, run_id: str) -> Result:
    names = _logs(attempt, program, run_id)
    problems = {name: file_problem(attempt, name, LOG_MOST) for name in names}
    if long := next(
        (f"the log {name} {why}" for name, why in problems.items() if why and why.startswith("has ")), None
    ):
        return Result(LOG, None, long)
    readable = [name for name, why in problems.items() if not why and not brought(attempt, program, name)]
    told = []
    for name in readable:
        try:
            told.append(_Told(name, read_run(attempt / name, attempt)))
        except BadInput as e:
            return Result(name, None, str(e))
    if not told:
        return Result(LOG, None, "there is no log to read: " + ", ".join(f"{n} {p}" for n, p in problems.items()))
    best = max(told, key=lambda t: t.richness)  # of equals the first
    return Result(best.name, None, _refusal(best, told))


def _logs(attempt: Path, program: Program, run_id: str) -> list[str]:
    """Names of the logs that a run may have left, standard output first."""
    if program.log is not None:
        return [program.log.replace("{run_id}", run_id)]
    named = [name.format(run_id=run_id) for name in LOGS]
    there = [name for name in named if (attempt / name).exists()]
    others = fitting(attempt, program, OTHER_LOGS) + fitting(attempt, program, "*.txt")
    return list(dict.fromkeys([LOG, *there, *others[:MOST_LOGS]]))


def _refusal(best: _Told, told: list[_Told]) -> str | None:
    """Why the logs give no result; None: they do."""
    if best.last is None:
        return f"no validation loss can be read in {' or '.join(t.name for t in told)}"
    at = f"{best.last.at.file}:{best.last.at.line}"
    if not math.isfinite(best.last.loss):
        return f"{at}: the last validation loss is not a finite number"
    for other in told:
        if other.last and other.last.step == best.last.step and not _same(other.last, best.last):
            there = f"{other.last.loss:g} in {other.last.at.file}:{other.last.at.line}"
            return f"two logs tell of different last validation losses: {best.last.loss:g} in {at}, {there}"
    return None


def _same(a: CurvePoint, b: CurvePoint) -> bool:
    """Whether two lines give one loss, to the digits that both have."""
    return abs(a.loss - b.loss) <= 0.51 * 10.0 ** -min(a.decimals, b.decimals)
