"""Compare two passes: the first place where scores, distributions or states differ though they must not."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pgolf.evidence.probes import CounterExample
from pgolf.legality.watch import Watched, differ

ROUNDING = 1e-4  # nats: a batch of another shape rounds by 1e-6 to 5e-5 in float32; no score gains more than this by it


@dataclass(frozen=True)
class Difference:
    """Scores that move though what they may depend on is the same."""

    example: CounterExample
    size: float  # nats: the largest move of a loss, or of a log-probability at t; infinite where positions differ
    typical: float  # nats: the median of the moves that are not 0


def difference(ref: Watched, seen: Watched, t: int, kind: str, seed: int) -> Difference | None:
    """How the scores before t, or the distribution at t, differ; None where they are the same, bit for bit."""
    (positions, losses), (positions_2, losses_2) = ref.before(t), seen.before(t)
    infinite = float("inf")
    if not torch.equal(positions, positions_2):
        what = f"other positions before {t} are scored, or in another order"
        return Difference(CounterExample(what, None, t, kind, seed), infinite, infinite)
    earlier, here = _moves(losses, losses_2), torch.zeros(0, dtype=torch.float64)
    if t in ref.rows and t in seen.rows:
        here = _moves(ref.rows[t], seen.rows[t])
    moves = torch.cat([earlier, here])
    moves = moves[moves > 0]
    if not len(moves):
        return None
    size = float(moves.max())
    where = torch.nonzero(earlier > (ROUNDING if size > ROUNDING else 0)).flatten()
    if len(where):
        i = int(where[0])
        before, after, at = float(losses[i]), float(losses_2[i]), int(positions[i])
        count = int((earlier > 0).sum())
        what = f"the loss at position {at} moves from {before:.9g} to {after:.9g} ({count} losses move)"
        example = CounterExample(what, at, t, kind, seed, before, after)
    else:
        what = f"the distribution at position {t} moves, by up to {float(here.max()):.3g} in log p"
        example = CounterExample(what, t, t, kind, seed)
    return Difference(example, size, float(moves.median()))


def _moves(a: Tensor, b: Tensor) -> Tensor:
    """How far apart two tensors are, 0 where they are the same bit for bit, infinite where one of both is NaN."""
    if a.shape != b.shape:
        return torch.full((1,), float("inf"), dtype=torch.float64)
    apart = (a.double() - b.double()).abs().nan_to_num(nan=float("inf"))
    return torch.where(differ(a, b), apart, 0)


def state_difference(ref: Watched, seen: Watched, t: int, kind: str, seed: int) -> CounterExample | None:
    """The first piece before position t that was given in another state."""
    for a, b, piece in zip(ref.states_before(t), seen.states_before(t), ref.pieces, strict=False):
        if a != b:
            what = (
                f"the state in which positions {piece.start} to {piece.stop - 1} were given already depends on tokens "
                f"from {t} on, which had not been scored"
            )
            return CounterExample(what, piece.start, t, kind, seed)
    return None


def repetition(ref: Watched, seen: Watched, n: int, seed: int) -> CounterExample | None:
    """The first score or state that is not bit for bit the same in two passes over one stream."""
    found = difference(ref, seen, n + 1, "the same stream again", seed)
    if found:
        return found.example
    if ref.states != seen.states:
        return CounterExample("the state differs after the same tokens", seed=seed)
    return None


def first_disorder(seen: Watched, n: int, whole: bool, seed: int) -> CounterExample | None:
    """The first position that is not scored once and in order, or whose score was changed later."""
    if seen.rewritten is not None:
        return CounterExample("its loss was changed after it had been given", seen.rewritten, seed=seed)
    if seen.endless:
        last = seen.pieces[-1].start
        what = f"it goes on without an end: its last pieces, at position {last} of {n}, have no position that is new"
        return CounterExample(what, last, seed=seed)
    expected = 1
    for piece in seen.pieces:
        if piece.start != expected or len(piece) == 0:
            what = f"positions {piece.start} to {piece.stop - 1} are scored where {expected} comes next"
            return CounterExample(what, piece.start, seed=seed)
        expected = piece.stop
    if expected > n + 1 or (whole and expected != n + 1):
        return CounterExample(f"scoring ends with position {expected - 1} of {n}", expected - 1, seed=seed)
    return None


def influence_edges(ref: Watched, seen: Watched, t: int) -> list[int]:
    """Positions after t at which the changed token t begins or ceases to move losses."""
    if not torch.equal(ref.positions, seen.positions):
        return []
    moved = differ(ref.losses, seen.losses)
    flips = torch.nonzero(moved[1:] != moved[:-1]).flatten() + 1
    return [p for p in ref.positions[flips].tolist() if p > t + 1]
