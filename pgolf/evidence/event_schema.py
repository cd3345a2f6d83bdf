"""events.jsonl, line by line: what each event of the trainer holds, and the one decoder of them.

The trainer writes these objects as they are, and pays nothing for this schema; docs/architecture.md describes it. Lines
may be a stranger's: a torn line, another program's or one of an unknown event is passed over, a fact of the wrong type
or beyond all measure is None.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_type_hints

from pgolf.evidence.lines import MAX_LINE_CHARS, read_lines
from pgolf.untrusted import is_deeper

BEGINNING = '{"t": '  # of the trainer's events
LARGEST = 10**18  # of a number that can be a fact of a run
MAX_TEXT_CHARS = 4096  # characters of a text


def _number(value: object) -> float | None:
    if type(value) is float or type(value) is int:
        return float(value) if -LARGEST < value < LARGEST else None  # NaN is not
    return None


def whole(value: object) -> int | None:
    """The number, if it is one that can be a fact of a run."""
    return value if type(value) is int and -LARGEST < value < LARGEST else None


def _loss(value: object) -> float | None:
    return value if type(value) is float else _number(value)


def _text(value: object) -> str | None:
    return value[:MAX_TEXT_CHARS] if type(value) is str else None


def _mapping(value: object) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


def _list(value: object) -> list[Any] | None:
    return value if isinstance(value, list) else None


Number = Annotated[float | None, _number]  # finite
Whole = Annotated[int | None, whole]
Loss = Annotated[float | None, _loss]  # NaN and infinity are kept: a run that diverged says so
Text = Annotated[str | None, _text]
Mapping = Annotated[dict[str, Any] | None, _mapping]
List = Annotated[list[Any] | None, _list]


class Start(NamedTuple):
    """A run begins, or goes on from a checkpoint; `config` has all knobs, `torch` its version."""

    t: Number  # seconds since the process began, of every event
    config: Mapping
    world_size: Whole
    torch: Text
    device: Text
    threads: Whole
    code_bytes: Whole


class Data(NamedTuple):
    """The data is open. `val_bytes` is what the scored tokens stand for, `scored_sha256` their hash."""

    t: Number
    train_shards: Whole
    val_tokens: Whole
    val_bytes: Whole
    scored_sha256: Text
    tokenizer_sha256: Text
    val_sha256: Text = None  # scored_sha256, as version 0.1 called it


class Model(NamedTuple):
    """The model is made; `weights_fingerprint` is a hash of its first weights."""

    t: Number
    parameters: Whole
    weights_fingerprint: Text


class Train(NamedTuple):
    """A step's loss, in nats per token."""

    t: Number
    step: Whole
    iterations: Whole
    train_loss: Loss
    train_ms: Number
    tok_s: Number


class Val(NamedTuple):
    """A score on the way, in nats per token and bits per byte."""

    t: Number
    step: Whole
    iterations: Whole
    val_loss: Loss
    val_bpb: Loss


class Loop(NamedTuple):
    """Layers are run twice from here on, in this order."""

    t: Number
    step: Whole
    frac: Number
    encoder: List
    decoder: List


class Stop(NamedTuple):
    """Training is over: 'wallclock_cap' or 'iterations'."""

    t: Number
    reason: Text
    step: Whole
    iterations: Whole
    train_ms: Number


class Doing(NamedTuple):
    """`progress`: how much of a stage is done, in steps, windows or chunks."""

    t: Number
    stage: Text
    done: Whole
    total: Whole


class Score(NamedTuple):
    """`stage`: the finished model's score by one evaluator."""

    t: Number
    stage: Text
    val_loss: Number
    val_bpb: Number
    eval_ms: Number


class Calibration(NamedTuple):
    """The pass over training data for the quantisation is over."""

    t: Number
    hessians: Whole
    seconds: Number


class Fitted(NamedTuple):
    """`fit`: the clip widths that FIT_TO_CAP found."""

    t: Number
    embed_clip_sigmas: Number
    attn_clip_sigmas: Number
    mlp_clip_sigmas: Number


class Written(NamedTuple):
    """`artifact`: the compressed model is written."""

    t: Number
    model_bytes: Whole
    code_bytes: Whole
    total_bytes: Whole
    compressor: Text
    sha256: Text


class Failed(NamedTuple):
    """`error`: the run failed, for this reason."""

    t: Number
    message: Text


class End(NamedTuple):
    """The run came to its end."""

    t: Number


Event = (
    Start | Data | Model | Train | Val | Loop | Stop | Doing | Score | Calibration | Fitted | Written | Failed | End
)  # fmt: skip
EVENTS: dict[str, Callable[..., Event]] = {
    "start": Start,
    "data": Data,
    "model": Model,
    "train": Train,
    "val": Val,
    "loop": Loop,
    "stop": Stop,
    "progress": Doing,
    "stage": Score,
    "calibration": Calibration,
    "fit": Fitted,
    "artifact": Written,
    "error": Failed,
    "end": End,
}
READERS = {
    name: (event, [(key, hint.__metadata__[0]) for key, hint in get_type_hints(event, include_extras=True).items()])
    for name, event in EVENTS.items()
}
SCAN = json.JSONDecoder().raw_decode  # takes half of the time of json.loads


def decode(line: str) -> Event | None:
    """The event of a line, None if it holds none.

    Where a kill tore an event, and the resumed run went on in the same line, it is the resumed run's.

    Examples
    --------
    >>> decode('{"t": 0.1, "event": "stop", "reason": "iterations", "step": 9, "train_ms": "soon"}')
    Stop(t=0.1, reason='iterations', step=9, iterations=None, train_ms=None)
    >>> decode('{"t": 0.1, "event": "tr{"t": 7.5, "event": "end"}')
    End(t=7.5)
    """
    if len(line) > MAX_LINE_CHARS:
        return None
    event = _decode(line)
    if event is None and (again := line.rfind(BEGINNING)) > 0:
        event = _decode(line[again:])
    return event


def _decode(text: str) -> Event | None:
    if is_deeper(text):
        return None
    try:
        content, end = SCAN(text)
        event, readers = READERS[content["event"]]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    if end < len(text) and text[end:].strip():
        return None
    get = content.get
    return event(*[read(get(key)) for key, read in readers])


def read_event_lines(path: Path, inside: Path | None = None) -> Iterator[tuple[int, Event]]:
    """(line number from 1, event) of each event in a file; errors as `read_lines`."""
    for number, line in read_lines(path, inside):
        if event := decode(line):
            yield number, event
