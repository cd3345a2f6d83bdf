"""One side of a comparison: the final scores of its seeds, or only what was published of them.

Everything is in bits per byte (bpb); losses are nats per token and need the bytes per token of the validation
split under the tokenizer, which come from the run's own (loss, bpb) pair and never from a constant.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pgolf.errors import BadInput

LN2 = math.log(2)
SEQUENCE_BYTES = 8192  # of a sequence of 2,048 tokens, which trainers cut the end of a split to
SAME_TEXT = 2e-4  # relative difference in bytes up to which two validation splits are one text, cut differently
COPY_DECIMALS = 6  # two seeds that agree in this many decimals are one run, not two


@dataclass(frozen=True)
class Sample:
    """The final scores of one side.

    Attributes
    ----------
    label : what the report calls this side.
    mean, std, n : bpb; `std` is the sample standard deviation (n − 1), 0 where n is 1.
    values, seeds : final val_bpb of each seed and its seed number, where known, in the same order.
    decimals : digits after the point that the source printed.
    mean_rounding, std_rounding : half a unit of the last printed digit of a published summary, else 0.
    bytes_per_token : of the validation split under this side's tokenizer.
    scored_sha256, val_bytes : which validation text; `val_bytes` of public logs is tokens × bytes per token.
    added_seeds : seeds that a later plan added after results had been seen.
    doubts : why no claim can rest on this sample, a sentence each.
    """

    label: str
    mean: float
    std: float
    n: int
    values: tuple[float, ...] = ()
    seeds: tuple[int, ...] = ()
    decimals: int = 8
    mean_rounding: float = 0.0
    std_rounding: float = 0.0
    bytes_per_token: float | None = None
    scored_sha256: str | None = None
    val_bytes: int | None = None
    added_seeds: tuple[int, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def rounded(self) -> bool:
        """Whether this is a published summary, known only to its last printed digit."""
        return self.mean_rounding > 0 or self.std_rounding > 0

    def __str__(self) -> str:
        std = "unknown" if self.n == 1 else f"{self.std:.{self.decimals}f}"
        source = " (published summary, rounded)" if self.rounded else ""
        return f"{self.label}: mean {self.mean:.{self.decimals}f}, std {std}, n {self.n}{source}"


def from_seeds(
    label: str,
    bpb: Sequence[float] = (),
    *,
    loss: Sequence[float] = (),
    seeds: Sequence[int] = (),
    bytes_per_token: float | None = None,
    decimals: int = 8,
    scored_sha256: str | None = None,
    val_bytes: int | None = None,
    added_seeds: Sequence[int] = (),
    doubts: Sequence[str] = (),
) -> Sample:
    """A sample from the final scores of its seeds.

    Parameters
    ----------
    label : what the report calls this side.
    bpb : final val_bpb, one a seed.
    loss : final val_loss in nats per token, one a seed. With `bpb` they give the bytes per token; without,
        `bytes_per_token` turns them into bpb.
    seeds : seed numbers in the same order, if known.
    bytes_per_token : of the validation split; overrides what the pairs give.
    decimals : digits after the point that the source printed of bpb.
    scored_sha256, val_bytes : the validation text.
    added_seeds : the seeds among them that a later plan added.
    doubts : why no claim can rest on these seeds, if that is known already.

    Returns
    -------
    Sample

    Raises
    ------
    BadInput : no values, lists of unequal length, values that are no positive numbers, or losses that cannot
        be converted.

    Examples
    --------
    >>> s = from_seeds("04-09", [1.08079352, 1.08103103], loss=[2.79180191, 2.79241542])
    >>> round(s.mean, 8), round(s.std, 8), round(s.bytes_per_token, 4)
    (1.08091227, 0.00016794, 3.7266)
    """
    if not bpb and loss:
        if bytes_per_token is None:
            raise BadInput(f"{label}: losses in nats need bytes per token to become bpb")
        bpb = [x / LN2 / bytes_per_token for x in loss]
    _check_values(label, bpb, loss, seeds)
    if loss and bytes_per_token is None:
        bytes_per_token = math.fsum(loss) / math.fsum(bpb) / LN2
    return Sample(
        label=label,
        mean=math.fsum(bpb) / len(bpb),
        std=float(np.std(bpb, ddof=1)) if len(bpb) > 1 else 0.0,
        n=len(bpb),
        values=tuple(bpb),
        seeds=tuple(seeds),
        decimals=decimals,
        bytes_per_token=bytes_per_token,
        scored_sha256=scored_sha256,
        val_bytes=val_bytes,
        added_seeds=tuple(added_seeds),
        doubts=(*doubts, *_copies(bpb, decimals)),
    )


def _check_values(label: str, bpb: Sequence[float], loss: Sequence[float], seeds: Sequence[int]) -> None:
    if not bpb:
        raise BadInput(f"{label}: no final scores")
    if any(other and len(other) != len(bpb) for other in (loss, seeds)):
        raise BadInput(f"{label}: {len(bpb)} scores, {len(loss)} losses and {len(seeds)} seeds do not match")
    if bad := [x for x in (*bpb, *loss) if not (math.isfinite(x) and x > 0)]:
        raise BadInput(f"{label}: scores must be positive numbers, not {bad[0]}")


def _copies(bpb: Sequence[float], decimals: int) -> tuple[str, ...]:
    # Four printed digits may well agree by chance; all of six or more do not.
    if decimals >= COPY_DECIMALS and len(set(bpb)) < len(bpb):
        return (f"the seeds are not distinct: equal scores to {decimals} decimals are one run, counted twice",)
    return ()


def from_summary(label: str, mean: str, std: str, n: int, bytes_per_token: float | None = None) -> Sample:
    """A sample from a published mean, sample standard deviation and count; rounding is read off the digits.

    Parameters
    ----------
    label : what the report calls this side.
    mean, std : bpb, as printed (text, so that trailing zeros count as digits).
    n : number of seeds.
    bytes_per_token : of the validation split, if known.

    Returns
    -------
    Sample

    Raises
    ------
    BadInput : a number does not parse, is negative, or n < 1.

    Examples
    --------
    >>> from_summary("04-09", "1.0810", "0.0002", 3).std_rounding
    5e-05
    """
    try:
        m, s = float(mean), float(std)
    except ValueError:
        raise BadInput(f"{label}: mean '{mean}' or std '{std}' is not a number") from None
    if not (math.isfinite(m) and math.isfinite(s) and m > 0 and s >= 0):
        raise BadInput(f"{label}: mean {mean} and std {std} must be finite, mean > 0 and std >= 0")
    if n < 1:
        raise BadInput(f"{label}: n = {n}; a sample has at least one seed")
    return Sample(
        label=label,
        mean=m,
        std=s if n > 1 else 0.0,
        n=n,
        decimals=max(_decimals(mean), _decimals(std)),
        mean_rounding=0.5 * 10.0 ** -_decimals(mean),
        std_rounding=0.5 * 10.0 ** -_decimals(std),
        bytes_per_token=bytes_per_token,
    )


def _decimals(number: str) -> int:
    mantissa, _, exponent = number.strip().lower().partition("e")
    return max(0, len(mantissa.partition(".")[2]) - int(exponent or 0))


def parse_numbers(text: str, label: str = "given numbers", bytes_per_token: float | None = None) -> Sample:
    """A sample as a user types it: raw scores or a published summary.

    Parameters
    ----------
    text : `1.0793,1.0802,1.0800` or `mean=1.0810,std=0.0002,n=3`, in bpb.
    label : what the report calls this side.
    bytes_per_token : of the validation split, if known.

    Returns
    -------
    Sample

    Raises
    ------
    BadInput : neither form.

    Examples
    --------
    >>> parse_numbers("1.0793,1.0802,1.0800").n
    3
    >>> parse_numbers("mean=1.0810,std=0.0002,n=3").mean
    1.081
    """
    parts = [p.strip() for p in text.split(",")]
    if "=" in text:
        pairs = {k.strip(): v.strip() for k, _, v in (p.partition("=") for p in parts)}
        if pairs.keys() != {"mean", "std", "n"} or len(parts) != 3 or not re.fullmatch(r"\d{1,9}", pairs["n"]):
            raise BadInput(f"'{text}' is no summary; write mean=1.0810,std=0.0002,n=3")
        return from_summary(label, pairs["mean"], pairs["std"], int(pairs["n"]), bytes_per_token)
    try:
        values = [float(p) for p in parts]
    except ValueError:
        raise BadInput(f"'{text}' is no list of bpb scores; write 1.0793,1.0802,1.0800") from None
    decimals = max(_decimals(p) for p in parts)
    return from_seeds(label, values, bytes_per_token=bytes_per_token, decimals=decimals)


def pool(samples: Sequence[Sample]) -> Sample:
    """One sample of several that measured the same thing: independent reproductions of one record.

    Parameters
    ----------
    samples : at least one; raw seeds stay raw, with a published summary among them only moments are pooled.

    Returns
    -------
    Sample : bytes per token and validation text of the first.

    Raises
    ------
    BadInput : no sample, or samples of different validation texts.

    Examples
    --------
    >>> both = pool([from_seeds("a", [1.0801, 1.0803]), from_seeds("b", [1.0802, 1.0806])])
    >>> both.label, both.n, round(both.mean, 6)
    ('a + b', 4, 1.0803)
    """
    if not samples:
        raise BadInput("nothing to pool")
    first = samples[0]
    if len(samples) == 1:
        return first
    for other in samples[1:]:
        same_validation(other, first)
    n = sum(s.n for s in samples)
    mean = math.fsum(s.n * s.mean for s in samples) / n
    squares = math.fsum((s.n - 1) * s.std**2 + s.n * (s.mean - mean) ** 2 for s in samples)
    raw = all(s.values for s in samples)
    values = tuple(v for s in samples for v in s.values) if raw else ()
    decimals = max(s.decimals for s in samples)
    return replace(
        first,
        label=" + ".join(s.label for s in samples),
        mean=mean,
        std=math.sqrt(squares / (n - 1)),
        n=n,
        values=values,
        seeds=tuple(x for s in samples for x in s.seeds) if raw and all(s.seeds for s in samples) else (),
        decimals=decimals,
        mean_rounding=max(s.mean_rounding for s in samples),
        std_rounding=max(s.std_rounding for s in samples),
        added_seeds=tuple(x for s in samples for x in s.added_seeds),
        doubts=tuple(dict.fromkeys((*(d for s in samples for d in s.doubts), *_copies(values, decimals)))),
    )


def same_validation(new: Sample, old: Sample) -> str:
    """Whether two samples were scored on the same validation text, as a sentence for the report.

    Parameters
    ----------
    new, old : Sample

    Returns
    -------
    str : why they count as the same text, and what the difference in bytes is worth in bpb.

    Raises
    ------
    BadInput : the byte counts differ by more than 2e-4: these scores cannot be compared. Where a hash of the tokens is
        unknown, also by more than a sequence's text: trainers leave out the end that fills no whole sequence.

    Examples
    --------
    >>> a = from_seeds("a", [1.08], val_bytes=151_078_222)
    >>> b = from_seeds("b", [1.06], val_bytes=151_074_499)
    >>> same_validation(b, a)
    'validation bytes differ by 2.5e-05: the same text, cut differently; worth up to 0.0000266 bpb'
    """
    if new.scored_sha256 and new.scored_sha256 == old.scored_sha256:
        return "same validation tokens (equal SHA-256)"
    if new.val_bytes is None or old.val_bytes is None:
        unknown = " and of ".join(s.label for s in (new, old) if s.val_bytes is None)
        return f"the validation text of {unknown} is unknown: taken to be the same, not checked"
    difference = abs(new.val_bytes / old.val_bytes - 1)
    known = new.scored_sha256 and old.scored_sha256
    if difference > SAME_TEXT and (known or abs(new.val_bytes - old.val_bytes) > SEQUENCE_BYTES):
        raise BadInput(
            f"{new.label} and {old.label} were scored on different validation text: {new.val_bytes:,} and "
            f"{old.val_bytes:,} bytes, more than {100 * SAME_TEXT:g} % apart; score both on one split"
        )
    if difference == 0:
        return "same number of validation bytes"
    worth = max(new.mean, old.mean) * difference
    cut = f"validation bytes differ by {difference:.2g}: the same text, cut differently"
    return f"{cut}; worth up to {worth:.7f} bpb"
