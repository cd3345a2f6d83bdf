"""How long runs will still take: from runs of the same kind that have ended, here or in an earlier record, and always
from the pace that a run goes at itself. Where no such run has ended, only what its own stage takes is told.

An estimate is never negative and never stands still: a stage that takes longer than expected of it is said to, and what
is expected of it then grows.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress, pairwise
from statistics import fmean, median

from pgolf.pace import projected_end
from pgolf.record.progress import Progress
from pgolf.record.rows import Basis, Row, said_left
from pgolf.stages import BY_NAME, LEARNING
from pgolf.tracks import Limits

PACES = 0.2, 5.0  # a run that seems further from the others' pace than by these factors says something else
DOUBT = 0.05  # share of a whole run in which a pace of its own is not believed yet
DOUBT_HERE = 0.1  # share of a stage in which the pace that it goes at is not believed yet
SURE = 0.25  # share of a stage that is done before its own pace counts without a course
LEAP = 5.0  # times the usual time between two marks: a silence, in which a chunk is learnt from
SILENCE = 0.05  # of a stage's seconds, from which a silence in it is a part of how it goes


@dataclass(frozen=True)
class Stage:
    """One stage of a run: its name, its seconds, and how it went: (share of its seconds, share of it done) in order."""

    name: str
    seconds: float
    shape: tuple[tuple[float, float], ...] = ()

    def reached(self, share: float) -> float:
        """The share of its seconds in which so much of it is done.

        Some stages go in leaps: a chunk is scored, then learnt from in silence. Before a silence it goes on as it went.

        Examples
        --------
        >>> ttt = Stage("quantized_ttt", 100.0, ((0.0, 0.1), (0.01, 0.2), (0.5, 0.6)))
        >>> [ttt.reached(share) for share in (0.15, 0.3, 0.8)]
        [0.005, 0.02, 0.745]
        """
        last, speed = (0.0, 0.0), 0.0
        for point in (*self.shape, (1.0, 1.0)):
            seconds, done = point[0] - last[0], point[1] - last[1]
            if point[1] > share:
                own = speed if speed and seconds > SILENCE else done / seconds if seconds else math.inf
                return round(min(point[0], last[0] + (share - last[1]) / own), 9)
            if done > 0 and seconds > 0:
                speed = done / seconds
            last = point
        return 1.0


@dataclass(frozen=True)
class Course:
    """How a run of some kind goes: its stages in their order."""

    stages: tuple[Stage, ...]

    @property
    def seconds(self) -> float:
        """Of the whole run."""
        return sum(stage.seconds for stage in self.stages)


@dataclass(frozen=True)
class Left:
    """Seconds that a run will still take, what this is told from, and whether its stage takes longer than expected."""

    seconds: float
    basis: Basis
    over: bool = False

    @property
    def words(self) -> str:
        """As people read it; '' where nothing is left."""
        return said_left(self.seconds, self.basis, self.over)


def course_of(finished: Progress) -> Course | None:
    """The course of a run that has come to its end; None if it does not tell of one."""
    if finished.stage != "done" or finished.elapsed <= 0:
        return None
    if not finished.by_events:
        return _course_of_log(finished)
    begun = [("starting", 0.0), *((stage, at) for stage, at in finished.begun.items() if stage != "done")]
    ends = [*(at for _, at in begun[1:]), finished.heard]
    return Course(tuple(_stage(finished, name, at, end) for (name, at), end in zip(begun, ends, strict=True)))


def _stage(finished: Progress, name: str, begun: float, end: float) -> Stage:
    seconds = max(0.0, end - begun)
    marks = finished.marks.get(name, [])
    return Stage(name, seconds, tuple((min(1.0, (at - begun) / seconds), share) for at, share in marks if seconds))


def _course_of_log(finished: Progress) -> Course | None:
    """Of the log's own timers, since who watched it may have come late; the rest of the time is before the training."""
    if finished.train_seconds is None:
        return None
    stages = [Stage("train", finished.train_seconds), *(Stage(*timed) for timed in finished.passes.items())]
    rest = finished.elapsed - sum(stage.seconds for stage in stages)
    return Course((Stage("starting", max(0.0, rest)), *stages))


def mean_course(courses: Sequence[Course]) -> Course | None:
    """The mean of those that have the stages of the last one, which also shows how they went."""
    if not courses:
        return None
    last = courses[-1].stages
    alike = [c.stages for c in courses if [s.name for s in c.stages] == [s.name for s in last]]
    return Course(tuple(replace(stage, seconds=fmean(c[i].seconds for c in alike)) for i, stage in enumerate(last)))


def time_left(p: Progress, course: Course | None = None) -> Left | None:
    """How long a run will still take; None if nothing can be told.

    Parameters
    ----------
    p : the run; `p.elapsed` is now.
    course : of runs of the same kind.
    """
    if p.stage == "done":
        return Left(0.0, "runs")
    if course:
        return _by_course(p, course)
    if (ends := _own_end(p)) is not None:
        return _grown(ends - p.elapsed, "runs")
    own = p.stage_left() if p.total > 1 else None
    return None if own is None else _grown(own, "stage")


def _own_end(p: Progress) -> float | None:
    """When a run's last stage ends at its own pace, as its events tell of it; None for other stages, or too early."""
    marks = p.marks.get(p.stage, [])
    if len(marks) < 2 or p.fraction < SURE or p.stage not in BY_NAME or BY_NAME[p.stage].kind not in LEARNING:
        return None
    gaps = [after[0] - before[0] for before, after in pairwise(marks)]
    silent = [gap > LEAP * median(gaps) and gap >= max(gaps) / 4 for gap in gaps]
    if not any(silent):
        quiet = p.elapsed - marks[-1][0] > max(gaps)
        return projected_end(marks[0], (p.elapsed, p.fraction) if quiet else marks[-1], 1.0)
    silences = list(compress(gaps, silent))
    leaps = list(compress(pairwise(marks), silent))
    leapt = sum(after[1] - before[1] for before, after in leaps)
    scored = marks[-1][1] - marks[0][1] - leapt
    pace = (sum(gaps) - sum(silences)) / scored if scored > 0 else 0.0
    border, last = (leaps[-1][0][1] + leaps[-1][1][1]) / 2, leaps[-1][1]
    ends = p.elapsed + _by_leaps(p, silences, border, leapt / len(leaps), pace, LEAP * median(gaps))
    most = projected_end(marks[0], last, 1.0)  # as if the last chunk were learnt from, too
    first = len(silences) == 1 and p.elapsed - marks[-1][0] <= silences[0]
    return min(ends, most) if first and most is not None else ends


def _by_leaps(p: Progress, silences: Sequence[float], border: float, leap: float, pace: float, quiet: float) -> float:
    """Seconds left of a stage that goes in leaps: a chunk is scored, then learnt from in silence, and the last chunk is
    only scored.

    Parameters
    ----------
    silences : the seconds of each so far. The last one tells how fast the machine is by now.
    border : the share that was done at the last one. Chunks are of one size.
    leap : the share by which a mark after a silence is further than the one before it.
    pace : seconds of scoring, by the share.
    quiet : seconds after which a silence has begun.
    """
    chunk, learning = border / len(silences), silences[-1]
    ahead = math.ceil((1.0 - border) / chunk) - 1 if p.fraction < border + 1.5 * chunk else 0  # else it learns no more
    since = p.elapsed - p.marks[p.stage][-1][0]
    if since > quiet and since > learning:
        learning = since + (since - learning) / 2
    scoring = max(0.0, 1.0 - p.fraction - ahead * leap) * pace * silences[-1] / fmean(silences)
    if ahead and since <= quiet:  # what is scored meanwhile is no part of a silence
        since = min(since, scoring)
    return scoring + ahead * learning - since


def _grown(seconds: float, basis: Basis, later: float = 0.0) -> Left:
    """The time left of a stage and of those after it. A stage that is over its time will take half of that again."""
    return Left((seconds if seconds >= 0 else -seconds / 2) + later, basis, over=seconds < 0)


def _by_course(p: Progress, course: Course) -> Left:
    at, since = _position(p, course)
    if at == len(course.stages):
        return _grown(p.heard - p.elapsed, "runs")
    stage = course.stages[at]
    reached = stage.reached(p.fraction) if p.total > 1 else 0.0
    own, theirs = p.heard - since if reached else 0.0, reached * stage.seconds
    pace, doubt = _pace(p, course, at, since, own, theirs), DOUBT_HERE * stage.seconds
    here = (own + pace * doubt) / (theirs + doubt) if doubt else pace
    begun = p.heard if reached else since
    expected = begun + (1 - reached) * stage.seconds * here - p.elapsed
    return _grown(expected, "runs", pace * sum(later.seconds for later in course.stages[at + 1 :]))


def _position(p: Progress, course: Course) -> tuple[int, float]:
    """Which stage of a course a run is in (after the last one: their number), and the second at which that began."""
    names = [stage.name for stage in course.stages]
    if p.stage in names and (p.by_events or p.stage == "train"):
        return names.index(p.stage), p.begun.get(p.stage, 0.0)
    if not p.begun:
        return 0, 0.0
    behind = {"starting", "train", *p.passes, *(p.begun if p.by_events else ())}
    return next((i for i, name in enumerate(names) if name not in behind), len(names)), max(p.begun.values())


def _pace(p: Progress, course: Course, at: int, since: float, own: float, theirs: float) -> float:
    """How much more time than the course a run takes: by the stages behind it, and by `own` seconds of the stage that
    it is in against `theirs`. What is before its first stage, imports mostly, says nothing of a pace."""
    behind = [stage.seconds for stage in course.stages[:at] if stage.name != "starting"]
    timers = (p.train_seconds or 0.0) + sum(p.passes.values())
    taken = since - min(p.begun.values(), default=since) if p.by_events else timers
    if behind and taken:
        own, theirs = own + taken, theirs + sum(behind)
    doubt = DOUBT * course.seconds
    least, most = PACES
    return min(most, max(least, (own + doubt) / (theirs + doubt))) if doubt else 1.0


def most_left(p: Progress, limits: Limits) -> float | None:
    """The seconds that the limits leave a run at most; None without limits of both times."""
    train, evaluation = p.measures(limits)[1:]
    if not (train.limited and evaluation.limited):
        return None
    if p.stage in ("starting", "train"):
        since, own = p.elapsed - p.heard, p.stage_left() if p.total > 1 else None
        training = own if own is not None else train.limit - (train.value or 0.0) - since
        return max(0.0, training + evaluation.limit)
    return max(0.0, evaluation.limit - (evaluation.value or 0.0) - (p.elapsed - p.heard))


def whole_left(rows: Sequence[Row]) -> Left | None:
    """How long all runs will still take, as many at the same time as now; None if one of them cannot be told."""
    going = [row for row in rows if row.state == "running"]
    waiting = [row for row in rows if row.state == "waiting"]
    if not going and not waiting:
        return Left(0.0, "runs")
    if any(row.left is None or row.basis == "stage" for row in (*going, *waiting)):
        return None
    ends = [row.left or 0.0 for row in going] or [0.0]
    heapq.heapify(ends)
    for row in waiting:  # each takes the place that is free first
        heapq.heapreplace(ends, ends[0] + (row.left or 0.0))
    last = max(going, key=lambda row: row.left or 0.0, default=None)
    return Left(max(ends), "runs", over=bool(last and last.over and not waiting))
