"""Slips of the pen: claims that are not the figure asked for, and hide nothing."""

import math
from collections.abc import Callable, Sequence
from decimal import Decimal

from pgolf.audit.checks.review import Review
from pgolf.evidence.claims import Claim
from pgolf.stats.sample import LN2

ROUNDED_TO = (4, 5, 6)  # decimals that scores are rounded to before somebody works with them


def decimals_of(value: float) -> int:
    """How many decimals a logged number has, as far as the number itself shows."""
    exponent = Decimal(repr(value)).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def repeats(bpb: Claim | None, loss: Claim, review: Review) -> bool:
    """Whether a claimed loss is the claimed bpb again, or the score of the logs in bpb or in nats per byte."""
    scores = [s.val_bpb for _, s in review.scored]
    values = [*([bpb.value] if bpb else []), *([math.fsum(scores) / len(scores)] if scores else []), *scores]
    return any(loss.agrees(v * unit) for v in values for unit in (1.0, LN2))


def of_rounded(claim: Claim, values: Sequence[float], statistic: Callable[[Sequence[float]], float]) -> int | None:
    """The number of decimals to which the values were rounded first, if the claim is their statistic then."""
    fits = (d for d in ROUNDED_TO if claim.decimals > d and claim.is_of(statistic([round(v, d) for v in values]), 9))
    return next(fits, None)


def other_byte_count(review: Review) -> bool:
    """Whether every seed's claim has the log's loss and a worse bpb: another count of the text's bytes, openly."""
    claims = review.entry.claims.by_seed
    pairs = [(claims.get(r.seed.value), s) for r, s in review.scored if r.seed]
    return len(pairs) == len(review.runs) and all(
        c
        and c.val_bpb
        and c.val_loss
        and s.val_loss
        and c.val_loss.is_of(s.val_loss, decimals_of(s.val_loss))
        and c.val_bpb.value > s.val_bpb
        for c, s in pairs
    )
