"""A running record's rows: what a view shows of each run, as plain data that any process can keep, read and draw."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pgolf.audit.measures import Measure, Status

State = Literal["waiting", "running", "done", "failed"]
# what a time left is told from: runs of the same kind, or the current stage alone
Basis = Literal["runs", "stage"]
Curve = tuple[tuple[int, float], ...]  # step, loss
CURVE_MOST = 64  # points of a curve that are shown


@dataclass(frozen=True)
class Used:
    """How much of a hard limit a run has used: `name` is short, `unit` is of `limit` (None: there is none) and `value`
    (None: unknown)."""

    name: str
    unit: Literal["bytes", "s"]
    limit: float | None
    value: float | None
    status: Status


@dataclass(frozen=True)
class Scored:
    """The score of a stage, in words, and its gain over the standing record's mean of the same kind, in bpb."""

    stage: str
    val_bpb: float
    gain: float | None = None


@dataclass(frozen=True)
class Row:
    """One run as a view shows it.

    Attributes
    ----------
    label : its kind and its seed, as in 'seed 42'.
    stage : the trainer's name for what it is doing; 'waiting' before its start, 'done' after its end.
    done, total : of steps, windows or chunks in this stage; total 0 is unknown.
    share : how much of this stage is done, in [0, 1]: of its steps, or of the seconds that it has for them.
    loss : the last training loss, nats per token.
    gain : of it over the standing record's at the same step (above zero: better).
    val_bpb : the last score.
    error : what it failed with.
    elapsed : seconds since its start.
    left : seconds still to go, an estimate; None if nothing can be told.
    basis : what `left` is told from.
    over : whether the current stage has taken longer than was expected of it.
    used : the hard limits, where they are known.
    scores : of each stage so far.
    heading, rests_on : an estimate of the final score, and what it rests on; None where nothing supports one.
    curve : (step, training loss) of some steps.
    reused : whether it was done before this process began.
    """

    label: str
    stage: str = "waiting"
    done: int = 0
    total: int = 0
    share: float = 0.0
    loss: float | None = None
    gain: float | None = None
    val_bpb: float | None = None
    error: str | None = None
    elapsed: float = 0.0
    left: float | None = None
    basis: Basis = "stage"
    over: bool = False
    used: tuple[Used, ...] = ()
    scores: tuple[Scored, ...] = ()
    heading: float | None = None
    rests_on: str | None = None
    curve: Curve = ()
    reused: bool = False

    @property
    def state(self) -> State:
        """Where it stands, in a word."""
        if self.error:
            return "failed"
        return "waiting" if self.stage == "waiting" else "done" if self.stage == "done" else "running"

    @property
    def time(self) -> str:
        """The time that it has taken, and the time that it will still take, as people read it."""
        if self.state != "running":
            return ", ".join([clock(self.elapsed)] * bool(self.elapsed) + ["reused"] * self.reused)
        return ", ".join(filter(None, [clock(self.elapsed), said_left(self.left, self.basis, self.over)]))


def kind_of(label: str) -> str:
    """What a run is one of: 'seed 42' is one of 'seed'."""
    return label.rsplit(" ", 1)[0]


def counts(rows: Sequence[Row]) -> str:
    """How many runs are done, and where the others stand.

    Examples
    --------
    >>> counts([Row("a", "done"), Row("b", "train"), Row("c"), Row("d")])
    '1 of 4 done, 1 running, 2 waiting'
    """
    states = [row.state for row in rows]
    others = [f"{states.count(state)} {state}" for state in ("failed", "running", "waiting") if state in states]
    return ", ".join([f"{states.count('done')} of {len(rows)} done", *others])


def titles(labels: Sequence[str], most: int) -> list[str]:
    """Labels of runs in at most so many characters: settings that all have are left out, and one that is cut keeps its
    number and its seed, so that no two look alike.

    Examples
    --------
    >>> titles(["base 42", "TTT_EPOCHS=2,TTT_LR=0.001 42", "TTT_EPOCHS=2,TTT_LR=0.002 42"], 20)
    ['base 42', 'TTT_LR=0.001 42', 'TTT_LR=0.002 42']
    >>> titles(["EMBED_BITS=7,MATRIX_BITS=5 42", "EMBED_BITS=8,MATRIX_BITS=6 42"], 20)
    ['1: EMBED_BITS=7,… 42', '2: EMBED_BITS=8,… 42']
    """
    parts = [label.rpartition(" ")[::2] for label in labels]
    changed = [set(what.split(",")) for what, _ in dict.fromkeys(parts) if "=" in what]
    shared = set.intersection(*changed) if len(changed) > 1 else set()
    found = []
    for number, (label, (what, seed)) in enumerate(zip(labels, parts, strict=True), start=1):
        own = ",".join(word for word in what.split(",") if word not in shared) or what
        text = f"{own} {seed}" if what else label
        if len(text) > most:
            kept = f"{number}: {own}"[: max(0, most - len(seed) - 2)]
            text = f"{kept}… {seed}"[:most]
        found.append(text)
    return found


def thinned(curve: Sequence[tuple[int, float, *tuple[float, ...]]]) -> Curve:
    """Some of the points of a curve, the last among them; those that are not finite are left out.

    Examples
    --------
    >>> thinned([(step, 1.0, 0.1) for step in range(1000)])[::30]
    ((7, 1.0), (487, 1.0), (967, 1.0))
    """
    every = -(-len(curve) // CURVE_MOST) or 1
    return tuple((step, loss) for step, loss, *_ in curve[(len(curve) - 1) % every :: every] if math.isfinite(loss))


def used_of(name: str, measure: Measure) -> Used:
    """A measure under a short name."""
    return Used(name, measure.unit, measure.limit if measure.limited else None, measure.value, measure.status)


def amount(used: Used) -> str:
    """How much of a limit is used, for people.

    Examples
    --------
    >>> amount(Used("size", "bytes", 16e6, 15_990_000, "pass")), amount(Used("eval", "s", None, 42.0, "pass"))
    ('15.990 of 16.000 MB', '42 s')
    """
    if used.value is None:
        return "unknown yet"
    scale, digits, unit = (1e6, 3, "MB") if used.unit == "bytes" else (1.0, 0, "s")
    of = "" if used.limit is None else f" of {used.limit / scale:.{digits}f}"
    return f"{used.value / scale:.{digits}f}{of} {unit}"


def said_left(seconds: float | None, basis: Basis = "runs", over: bool = False) -> str:
    """A time left in words, '' where nothing is known.

    Examples
    --------
    >>> said_left(80.0), said_left(80.0, "stage"), said_left(3.0, over=True)
    ('about 1:20 left', '1:20 left of this stage', 'a little longer')
    """
    if seconds is None:
        return ""
    if over and seconds < 60:
        return "a little longer"
    if seconds < 1:
        return ""
    return f"{clock(seconds)} left of this stage" if basis == "stage" else f"about {clock(seconds)} left"


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{s:02}" if hours else f"{minutes}:{s:02}"
