"""Compare two passes: the first place where scores, distributions or states differ though they must not."""

import torch

from pgolf.evidence.probes import CounterExample
from pgolf.legality.watch import Watched, differ

LENGTH_TOLERANCE = 1e-4  # nats: another length makes other batches, and these round differently


def first_difference(ref: Watched, seen: Watched, t: int, kind: str, seed: int) -> CounterExample | None:
    """The first score before t, or the distribution at t, that is not bit for bit the same in both passes."""
    (positions, losses), (positions_2, losses_2) = ref.before(t), seen.before(t)
    if not torch.equal(positions, positions_2):
        return CounterExample(f"other positions before {t} are scored, or in another order", None, t, kind, seed)
    where = torch.nonzero(differ(losses, losses_2)).flatten()
    if len(where):
        i = int(where[0])
        before, after, at = float(losses[i]), float(losses_2[i]), int(positions[i])
        what = f"the loss at position {at} moves from {before:.9g} to {after:.9g} ({len(where)} losses move)"
        return CounterExample(what, at, t, kind, seed, before, after)
    if t in ref.rows and t in seen.rows and bool(differ(ref.rows[t], seen.rows[t]).any()):
        apart = (ref.rows[t].double() - seen.rows[t].double()).abs()
        what = f"the distribution at position {t} moves, by up to {float(apart.nan_to_num().max()):.3g} in log p"
        return CounterExample(what, t, t, kind, seed)
    if kind == "the same stream again" and ref.states != seen.states:
        return CounterExample("the state differs after the same tokens", seed=seed)
    return None


def first_large_difference(ref: Watched, seen: Watched, t: int, kind: str, seed: int) -> CounterExample | None:
    """The first score before t, or the distribution at t, that differs by more than rounding."""
    (positions, losses), (positions_2, losses_2) = ref.before(t), seen.before(t)
    if not torch.equal(positions, positions_2):
        return CounterExample(f"other positions before {t} are scored, or in another order", None, t, kind, seed)
    where = torch.nonzero((losses.double() - losses_2.double()).abs() > LENGTH_TOLERANCE).flatten()
    if len(where):
        i = int(where[0])
        before, after, at = float(losses[i]), float(losses_2[i]), int(positions[i])
        return CounterExample(f"the loss at position {at} moves from {before:.9g} to {after:.9g}", at, t, kind, seed)
    apart = (ref.rows[t].double().exp() - seen.rows[t].double().exp()).abs() if t in seen.rows else torch.zeros(1)
    if float(apart.max()) > LENGTH_TOLERANCE:
        what = f"the distribution at position {t} moves, by up to {float(apart.max()):.3g}"
        return CounterExample(what, t, t, kind, seed)
    return None


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


def first_disorder(seen: Watched, n: int, whole: bool, seed: int) -> CounterExample | None:
    """The first position that is not scored once and in order, or whose score was changed later."""
    if seen.rewritten is not None:
        return CounterExample("its loss was changed after it had been given", seen.rewritten, seed=seed)
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
