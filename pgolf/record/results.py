"""What an attempt has left: the log that counts and the artifact, or why there is no result.

A program's exit code 0 says only that it has ended. Its folder is a stranger's: names, sizes and kinds of files are
checked before one is read, and nothing in it is followed out of it.
"""

import fnmatch
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import combinations, islice
from pathlib import Path
from typing import Any

from pgolf.errors import BadInput, RunFailed
from pgolf.evidence.events import beside
from pgolf.evidence.lines import printable, read_lines
from pgolf.evidence.logs import read_run, read_runs
from pgolf.evidence.run import Evidence, Run, Stage
from pgolf.files import write_json
from pgolf.program import ARTIFACTS, LOGS, Program
from pgolf.record.attempt_files import brought, file_problem, fitting, is_inside
from pgolf.untrusted import Untrusted, hash_file, read_json

LOG, ARTIFACT, RESULT = "train.log", "final_model.int6.ptz", "result.json"
OTHERS = ("**/*.ptz", "**/*.xz", "**/*.lzma", "**/*.zst", "**/*.br", "**/*.bin")  # artifacts by less usual names
ARTIFACT_MOST = 8 << 30  # bytes of an artifact, as of a file that comes home from a pod
LOG_MOST = 64 << 20  # bytes of a log that is read
RESULT_MOST = 64 << 10  # bytes of a result.json
MOST_RESULTS = 64  # runs with a score that are kept of one log
SHOWN_LINES = 3
SCORE = r"bpb|bits[_ ]?per|val[_ ]?loss|score"


@dataclass(frozen=True)
class Result:
    """What an attempt whose program has ended by itself has left.

    `log` and `artifact` are names relative to the attempt's folder. `refused` is the reason, in sentences, why this is
    no result; None: it is one, and then there is an artifact.
    """

    log: str
    artifact: str | None
    refused: str | None


class _Refused(Exception):
    """Why there is no result; `log` is the log that was looked at."""

    def __init__(self, reason: str, log: str = LOG) -> None:
        super().__init__(reason)
        self.log = log


@dataclass(frozen=True)
class _Told:
    """A log by its name in the attempt's folder, and the run that it tells of."""

    name: str
    run: Run

    @property
    def scores(self) -> list[Stage]:
        """Of the artifact."""
        return [s for s in self.run.stages if s.kind != "pre-quant"]

    @property
    def richness(self) -> tuple[bool, int, int]:
        """A log with more of this counts."""
        run = self.run
        sourced = sum(getattr(run, name) is not None for name in vars(run))
        return (
            run.final is not None,
            len(self.scores),
            sourced + len(run.hyperparameters) + len(run.train_curve) + len(run.val_curve),
        )


def settle(attempt: Path, program: Program, seed: int) -> Result:
    """The result of an attempt at `seed` whose program has ended with exit code 0.

    Judges the attempt's files and writes result.json, unless a refusal is there already; any other that is there may
    be the program's own word.

    Raises
    ------
    RunFailed : result.json cannot be written.
    """
    kept = read_result(attempt)
    if kept and kept.refused:
        return kept
    try:
        told = _log_that_counts(attempt, program, f"seed{seed}")
        _check_result(attempt, told, seed)
        result = Result(told.name, _find_artifact(attempt, program, told), None)
    except _Refused as e:
        result = Result(e.log, None, str(e))
    write_result(attempt, result)
    return result


def refuse(attempt: Path, reason: str) -> None:
    """Write down why an attempt is no result; before its program is ended, so that nobody judges it anew.

    Raises
    ------
    RunFailed : result.json cannot be written.
    """
    write_result(attempt, Result(LOG, None, reason))


def read_result(attempt: Path) -> Result | None:
    """What `settle` or `refuse` has written; None if there is none, or none that can be used."""
    if file_problem(attempt, RESULT, RESULT_MOST):
        return None
    try:
        content: Any = read_json(attempt / RESULT, RESULT_MOST, attempt)
        log, artifact, refused = content["log"], content["artifact"], content["refused"]
    except (Untrusted, LookupError, TypeError):
        return None
    texts = all(value is None or isinstance(value, str) for value in (artifact, refused))
    if not isinstance(log, str) or not texts or not is_inside(log):
        return None
    if not refused and (
        artifact is None or file_problem(attempt, log, LOG_MOST) or file_problem(attempt, artifact, ARTIFACT_MOST)
    ):
        return None  # a result names two files that are there
    return Result(log, artifact, refused or None)


def report_of_trial(attempt: Path, program: Program) -> list[str]:
    """What cannot be read in the log of a trial, a sentence each, with the lines that came nearest.

    `attempt` is the trial's attempt-<n> in the folder of its seed.
    """
    try:
        told = _log_that_counts(attempt, program, f"seed{attempt.parent.name}")
    except _Refused as e:
        return [str(e)]
    run, path = told.run, attempt / told.name
    facts = {  # whether it is known, and what a line that states it would have in it
        "seed": (run.seed, r"\bseed"),
        "final score": (run.final, SCORE),
        "size of the artifact (code and model)": (run.artifact_bytes, r"submission|artifact|\bbytes\b|size"),
        "size of the code": (run.code_bytes, r"code.{0,80}(?:bytes|size)"),
        "training time": (run.train_seconds, r"train\w{0,9}[_ ]time|wall.?clock|elapsed|\d ?ms\b"),
        "evaluation time": (run.eval_seconds, r"eval.{0,80}(?:time|\d ?(?:ms|s)\b)"),
        "steps of training": (run.steps, r"\bsteps?\b|\biter"),
    }
    return [
        f"{told.name} states no {fact} that can be read; {_nearest(path, told.name, words)}"
        for fact, (known, words) in facts.items()
        if known is None
    ]


def score_of(folder: Path, program: Program, run_id: str) -> float | None:
    """The final score (val_bpb) of a run, by the log in its folder that counts; None: no log states one."""
    try:
        final = _log_that_counts(folder, program, run_id).run.final
    except _Refused:
        return None
    return final.val_bpb if final else None


def name_for(program: Program, artifact: Path) -> str:
    """A name by which an artifact is found again among the files that a program leaves: its own, where that fits."""
    if any(fnmatch.fnmatchcase(artifact.name, pattern) for pattern in program.artifact):
        return artifact.name
    return program.artifact[0].replace("**/", "").replace("*", "given")


# --- the log
def _log_that_counts(attempt: Path, program: Program, run_id: str) -> _Told:
    """The log that the program names, else the richest of those that it has left; _Refused where they contradict."""
    names = list(_logs(attempt, program, run_id))
    told: list[_Told] = []
    for name in names:
        _check_events(attempt, name)
        try:
            told.append(_Told(name, read_run(attempt / name, attempt)))
        except BadInput as e:
            raise _Refused(f"{e}", name) from None
    for a, b in combinations(told, 2):
        if difference := _contradiction(a, b):
            raise _Refused(difference, a.name)
    return max(told, key=lambda t: t.richness)  # of equals the first


def _logs(attempt: Path, program: Program, run_id: str) -> Iterator[str]:
    """Names of the logs to be read, standard output first; _Refused where one is too long, or none can be read."""
    if program.ours or program.log is None:
        places = [LOG] if program.ours else [LOG, *(name.format(run_id=run_id) for name in LOGS)]
    else:
        places = [program.log.replace("{run_id}", run_id)]
    problems = {name: file_problem(attempt, name, LOG_MOST) for name in places}
    if len(places) > 1 and all(problems[name] for name in places[1:]):
        others = [n for suffix in ("txt", "log") for n in fitting(attempt, program, f"logs/**/*.{suffix}")]
        if len(others) == 1:
            problems[others[0]] = file_problem(attempt, others[0], LOG_MOST)
    for name, problem in problems.items():
        if problem and problem.startswith("has "):
            raise _Refused(f"the log {name} {problem}", name)
    readable = [n for n, problem in problems.items() if not problem and not brought(attempt, program, n)]
    if not readable:
        raise _Refused("there is no log to read: " + ", ".join(f"{n} {p or 'is as sent'}" for n, p in problems.items()))
    yield from readable


def _check_events(attempt: Path, log: str) -> None:
    """_Refused where a file that would be read as a log's events is none to be read."""
    for path in beside(attempt / log):
        name = path.relative_to(attempt).as_posix()
        if (problem := file_problem(attempt, name, LOG_MOST)) not in (None, "is empty"):
            raise _Refused(f"the events {name} beside the log: it {problem}", log)


def _contradiction(a: _Told, b: _Told) -> str | None:
    """How two logs of one attempt cannot both be true; None where they can."""
    x, y = a.run.seed, b.run.seed
    if x and y and x.value != y.value:
        return (
            f"two logs tell of different seeds: {x.value} in {x.at.file}:{x.at.line}, {y.value} in {y.at.file}:"
            f"{y.at.line}"
        )
    v, w = a.run.final, b.run.final
    if v and w and not (any(_same(v, s) for s in b.scores) or any(_same(w, s) for s in a.scores)):
        return f"two logs tell of different final scores: {_score(v)}, {_score(w)}"
    return None


def _check_result(attempt: Path, told: _Told, seed: int) -> None:
    """_Refused where a log does not tell of exactly one result of this seed."""
    run, path = told.run, attempt / told.name
    if two := _two_results(path, attempt):
        raise _Refused(f"{told.name} tells of more than one result: {_score(two[0])}, {_score(two[1])}", told.name)
    if run.seed and run.seed.value != seed:
        where = f"{run.seed.at.file}:{run.seed.at.line}"
        raise _Refused(f"{where}: the log is of seed {run.seed.value}, the program was given {seed}", told.name)
    if broken := [p for p in run.problems if p.kind == "not-finite" and _is_last(p.at, run.final)]:
        at = f"{broken[-1].at.file}:{broken[-1].at.line}"
        raise _Refused(f"{at}: the score is not a finite number above 0: '{broken[-1].text}'", told.name)
    if run.final is None:
        near = _nearest(path, told.name, SCORE)
        raise _Refused(f"no final score can be read in {told.name}; {near}", told.name)


def _is_last(at: Evidence, final: Stage | None) -> bool:
    """Whether a line comes after the final score, as far as that can be told; a loss before it is the audit's."""
    return final is None or (at.file == final.at.file and at.line > final.at.line)


def _two_results(path: Path, attempt: Path) -> tuple[Stage, Stage] | None:
    """Two scores of a log that cannot both be its run's; shorter tries before the run count as little as in an audit.

    A log that was written twice over tells of one result, and so does one with an evaluation of the artifact after
    the training, unless that gives a pass another score.
    """
    runs: list[Run] = []
    longest = 0
    for run in read_runs(path, attempt):
        if run.final is None or not (run.trained or runs):
            continue
        longest = max(longest, _steps(run)) if run.trained else longest
        runs = [r for r in [*runs, run] if not r.trained or 2 * _steps(r) >= longest][-MOST_RESULTS:]
    finals = [r.final for r in runs if r.trained and r.final]
    if other := next((pair for pair in combinations(finals, 2) if not _same(*pair)), None):
        return other
    first: dict[str, Stage] = {}
    for stage in (s for r in runs for s in r.stages if s.kind != "pre-quant" and not s.diagnostic):
        if not _same(first.setdefault(stage.name, stage), stage):
            return first[stage.name], stage
    return None


def _steps(run: Run) -> int:
    return run.steps.value if run.steps else 0


def _same(a: Stage, b: Stage) -> bool:
    """Whether two lines give one score, to the digits that both have."""
    return abs(a.val_bpb - b.val_bpb) <= 0.51 * 10.0 ** -min(a.decimals, b.decimals)


def _score(stage: Stage) -> str:
    return f"val_bpb {stage.val_bpb:.{stage.decimals}f} in {stage.at.file}:{stage.at.line}"


def _nearest(path: Path, name: str, words: str) -> str:
    """The last lines of a log in which one of `words`, a pattern, stands."""
    like = re.compile(words)
    found = deque(
        ((number, line) for number, line in read_lines(path, path.parent) if like.search(line[:2048].lower())),
        maxlen=SHOWN_LINES,
    )
    if not found:
        return "no line looks like one"
    return "the last lines that look like one: " + "; ".join(f"{name}:{n}: '{printable(line)}'" for n, line in found)


# --- the artifact
def _find_artifact(attempt: Path, program: Program, told: _Told) -> str:
    """The name of the file that the first fitting pattern gives; _Refused where that is none, or several.

    Of several files, the one counts whose size the log gives as the compressed model's. Where the user names no pattern
    and no file has a usual name, that may be a file of any name.
    """
    patterns, stated = (ARTIFACT,) if program.ours else program.artifact, told.run.model_bytes
    problems: dict[str, str] = {}
    for pattern in [*patterns, *(OTHERS if patterns == ARTIFACTS else ())]:
        if problems and pattern in OTHERS:
            break  # a file of a usual name that cannot be read is not replaced
        names = fitting(attempt, program, pattern)
        problems |= {name: problem for name in names if (problem := file_problem(attempt, name, ARTIFACT_MOST))}
        good = [name for name in names if name not in problems]
        if len(good) > 1 and stated and not program.ours:
            good = _of_size(attempt, good, stated.value) or good
        if len(good) == 1:
            return good[0]
        if good:
            several = ", ".join(good[:5])
            raise _Refused(f"{len(good)} files fit {pattern}: {several}; say which is the artifact", told.name)
    if patterns == ARTIFACTS and stated and not problems:
        left = [name for name in fitting(attempt, program, "**/*") if not file_problem(attempt, name, ARTIFACT_MOST)]
        if len(exact := _of_size(attempt, left, stated.value)) == 1:
            return exact[0]
    found = "".join(f"; {name} {problem}" for name, problem in islice(problems.items(), 5))
    raise _Refused(f"the program has left no artifact: no file {' or '.join(patterns)}{found}", told.name)


def _of_size(attempt: Path, names: list[str], size: int) -> list[str]:
    """The files of exactly so many bytes; of those with one content, the first."""
    exact = [name for name in names if (attempt / name).stat().st_size == size]
    different = {hash_file(attempt / name, ARTIFACT_MOST, attempt): name for name in reversed(exact)}
    return [name for name in exact if name in different.values()]


def write_result(attempt: Path, result: Result) -> None:
    """Keep a result in the attempt's folder; RunFailed if it cannot be written."""
    try:
        write_json(attempt / RESULT, asdict(result))
    except OSError as e:
        raise RunFailed(f"cannot write {attempt / RESULT}: {e.strerror}") from None
