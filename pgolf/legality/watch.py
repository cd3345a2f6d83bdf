"""Watching an evaluator score a stream: what it yields, in which order, and in which state it was each time."""

import importlib.util
import math
import sys
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from pgolf.errors import BadInput, RunFailed
from pgolf.legality.state import Heap, state_of

MOST_STALE = 64  # pieces without a new position that an evaluator may give on end


class Evaluator(Protocol):
    """A callable that scores a stream once.

    Tokens are int64 `[n + 1]`; position t, from 1 to n, is scored from tokens before t. Yielded are pieces
    (start, losses, logp): losses in nats, `[k]`, of positions start … start + k − 1, and with `want_logp` their
    log-distributions `[k, vocabulary]`, else None.
    """

    def __call__(self, tokens: Tensor, want_logp: bool = False) -> Iterator[tuple[int, Any, Any]]: ...


Make = Callable[[], Evaluator]


def load_factory(spec: str, alone: bool = False) -> Make:
    """The factory that `path/to/file.py:make_evaluator` names. Runs the file; its folder can be imported from.

    `alone`: no other evaluator comes to this process.

    Raises
    ------
    BadInput : no such file, no such function in it, or the file raises when it is run.
    """
    path, _, name = spec.rpartition(":")
    file = Path(path)
    if not file.is_file():
        raise BadInput(f"{spec}: no file {path or spec}; write path/to/file.py:make_evaluator")
    # no name that an import could mean: a module beside it may import another `honest.py` than this one
    module_spec = importlib.util.spec_from_file_location(f"{file.stem} of {file.parent.resolve()}", file)
    if module_spec is None or module_spec.loader is None:
        raise BadInput(f"{file}: not a Python file")
    module = importlib.util.module_from_spec(module_spec)
    folder, before = file.parent.resolve(), set(sys.modules)
    sys.path.insert(0, str(folder))
    sys.modules[module.__name__] = module  # dataclasses and pickle look a class's module up there
    try:
        module_spec.loader.exec_module(module)
    except Exception as e:
        raise BadInput(f"{file} cannot be loaded: {type(e).__name__}: {e}") from e
    finally:  # another evaluator's folder may have modules of the same names
        for neighbour in sys.modules.keys() - before - {module.__name__} if not alone else ():
            if folder in Path(getattr(sys.modules[neighbour], "__file__", None) or "/").parents:
                del sys.modules[neighbour]
    make: Make | None = getattr(module, name, None)
    if not callable(make):
        raise BadInput(f"{file}: has no function '{name}'")
    return make


@dataclass
class Watched:
    """One pass over one stream. `positions` and `losses`, both `[m]`, are in the order in which they were yielded."""

    pieces: list[range] = field(default_factory=list)
    positions: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    losses: Tensor = field(default_factory=lambda: torch.zeros(0))
    rows: dict[int, Tensor] = field(default_factory=dict)  # position → log-distribution, of those asked for
    states: list[str] = field(default_factory=list)  # a fingerprint of the state when each piece was given
    rewritten: int | None = None  # the first position whose loss was changed after it had been given
    in_order: bool = True  # each position once, from 1 on
    endless: bool = False  # it gave piece after piece without a new position, and was stopped

    def before(self, t: int) -> tuple[Tensor, Tensor]:
        """(positions, losses) of what lies before position t, in the order of yields."""
        wanted = self.positions < t
        return self.positions[wanted], self.losses[wanted]

    def states_before(self, t: int) -> list[str]:
        """States at the pieces that came before the first one that reaches position t."""
        upto = next((i for i, p in enumerate(self.pieces) if p.stop > t), len(self.pieces))
        return self.states[:upto]

    @cached_property
    def by_position(self) -> dict[int, float]:
        """Position → its (first) loss."""
        pairs = zip(self.positions.tolist(), self.losses.tolist(), strict=True)
        return dict(reversed(list(pairs)))

    def loss(self, t: int) -> float:
        """The (first) loss of position t; NaN if it was not scored."""
        return self.by_position.get(t, math.nan)


def fresh(make: Make) -> Evaluator:
    """A fresh evaluator; RunFailed if it cannot be made."""
    try:
        return make()
    except (BadInput, RunFailed):
        raise
    except Exception as e:
        raise RunFailed(f"the evaluator cannot be made: {type(e).__name__}: {e}") from e


def watch(
    make: Make,
    tokens: Tensor,
    *,
    want_logp: bool = True,
    keep: Collection[int] = (),
    until: int | None = None,
    heap: Heap | None = None,
    each: Callable[[int, Tensor, Tensor], None] | None = None,
) -> Watched:
    """A fresh evaluator's pass over `tokens`, int64 `[n + 1]`.

    Parameters
    ----------
    keep : positions whose log-distributions are kept.
    until : stop after the piece with this position.
    heap : take a fingerprint of the state at each piece, of the evaluator's own tensors or else of this heap's.
    each : called with (start, losses, logp) of each piece; only with `want_logp`.

    Raises
    ------
    RunFailed : the evaluator raises, or yields anything but pieces.
    """
    seen, given = Watched(), []
    evaluator = fresh(make)
    state = state_of(evaluator, heap) if heap else None
    next_position, stale, given_yet = 1, 0, torch.zeros(len(tokens), dtype=torch.bool)
    with closing(_pieces(evaluator, tokens, want_logp)) as pieces:
        for start, losses, logp in pieces:
            piece = range(start, start + len(losses))
            seen.pieces.append(piece)
            seen.in_order &= start == next_position and len(losses) > 0
            next_position = piece.stop
            given.append((start, losses, losses.clone()))
            if state:
                # every piece at first, then more and more seldom: looking at all tensors takes about a millisecond
                i = len(seen.states)
                seen.states.append(seen.states[-1] if i % (1 << max(0, i.bit_length() - 6)) else state.fingerprint())
            if want_logp:
                logp = _distributions(start, losses, logp)
                seen.rows.update((t, logp[t - start].clone()) for t in keep if t in piece and t not in seen.rows)
                if each:
                    each(start, losses, logp)
            own = given_yet[max(0, start) : max(0, piece.stop)]
            stale = stale + 1 if bool(own.all()) else 0
            own[:] = True
            seen.endless = stale > MOST_STALE
            if until in piece or seen.endless:
                break
    if given:
        seen.positions = torch.cat([torch.arange(s, s + len(x)) for s, x, _ in given])
        seen.losses = torch.cat([copy for _, _, copy in given])
    for start, losses, copy in given:
        moved = torch.nonzero(differ(losses, copy)).flatten()
        if len(moved) and seen.rewritten is None:
            seen.rewritten = start + int(moved[0])
    return seen


def pieces_of(
    evaluator: Evaluator, tokens: Tensor, want_logp: bool
) -> Generator[tuple[int, Tensor, Tensor | None], None, None]:
    """The evaluator's scores, as tensors on the CPU. It gets a copy of the tokens: nobody reads what it writes."""
    for piece in evaluator(tokens.clone(), want_logp=want_logp):
        start, losses, *rest = piece
        logp = rest[0] if rest else None
        yield int(start), _tensor(losses).reshape(-1), None if logp is None else _tensor(logp)


def _pieces(
    evaluator: Evaluator, tokens: Tensor, want_logp: bool
) -> Generator[tuple[int, Tensor, Tensor | None], None, None]:
    try:
        yield from pieces_of(evaluator, tokens, want_logp)
    except RunFailed:
        raise
    except Exception as e:
        n = len(tokens) - 1
        raise RunFailed(f"the evaluator fails on a stream of {n} positions: {type(e).__name__}: {e}") from e


def _tensor(values: Any) -> Tensor:
    return torch.as_tensor(values).detach().to("cpu")


def _distributions(start: int, losses: Tensor, logp: Tensor | None) -> Tensor:
    if logp is None:
        raise RunFailed(f"at position {start} the evaluator gives no log-distributions; the probes need them")
    if logp.ndim != 2 or len(logp) != len(losses):
        raise RunFailed(
            f"at position {start} the evaluator gives {len(losses)} losses and log-distributions of shape "
            f"{tuple(logp.shape)}; it should be [{len(losses)}, vocabulary]"
        )
    return logp


def differ(a: Tensor, b: Tensor) -> Tensor:
    """Where two tensors of one shape are not bit for bit the same (any NaN is like another)."""
    return (a != b) & ~((a != a) & (b != b))
