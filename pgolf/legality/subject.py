"""An evaluator to probe: how to make a fresh one, and what to feed it."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from pgolf.errors import BadInput, RunFailed
from pgolf.legality.budget import PASSES, PASSES_GIVEN, Budget
from pgolf.legality.state import Heap
from pgolf.legality.streams import synthetic
from pgolf.legality.watch import Make, fresh, watch

MAX_POSITIONS = 1 << 15  # of a stream whose length nobody said
MAX_UNCHANGED = 1 << 13  # where no state was seen to change: a document of 30,000 tokens is more than many can hold
FIRST_LENGTH = 2011  # no multiple of anything: the last window and chunk are cut
SHORT_LENGTHS = (33, 133)  # of streams that show the pace


@dataclass(frozen=True)
class Subject:
    """An evaluator to probe: how to make a fresh one, and what to feed it."""

    name: str
    make: Make
    stream: Callable[[int], Tensor]  # seed → tokens int64 [n + 1]
    vocab_size: int
    text: Tensor | None = None  # real tokens, for the byte count
    tokenizer: Path | None = None
    byte_counts: Callable[[Tensor], Tensor] | None = None  # tokens [n + 1] → bytes of each target [n]
    document_start: int | None = None  # the token that begins a document, if the evaluator says so


def subject_of(
    name: str, make: Make, length: int | None = None, tokens: Tensor | None = None, budget: Budget | None = None
) -> Subject:
    """A `Subject` of any evaluator. Taken from the evaluator's attributes, if it has them: `vocab_size` (else it is
    asked for distributions, on a stream of nothing but token 0), `tokenizer` (a path) and `byte_counts`.

    Parameters
    ----------
    length : positions of a stream; None: enough to see the state change a few times, up to MAX_POSITIONS.
    tokens : int64 `[any]`, real tokens to cut streams from; None: streams are made up.
    budget : streams are so short that many passes fit into it.

    Raises
    ------
    BadInput : a vocabulary of less than two tokens, or one that `tokens` go beyond.
    RunFailed : the evaluator cannot be made.
    """
    evaluator = fresh(make)
    vocab_size = int(getattr(evaluator, "vocab_size", 0))
    if not vocab_size:
        widths: list[int] = []
        watch(make, torch.zeros(9, dtype=torch.int64), each=lambda start, losses, logp: widths.append(logp.shape[1]))
        if not widths:
            raise RunFailed(f"{name} yields nothing on a stream of 8 positions")
        vocab_size = max(widths)
    if vocab_size < 2:
        raise BadInput(f"{name}: a vocabulary of {vocab_size} has nothing to predict; set vocab_size on the evaluator")
    if tokens is not None and int(tokens.max()) >= vocab_size:
        raise BadInput(f"{name}: the stream has token {int(tokens.max())}, its vocabulary ends at {vocab_size - 1}")

    budget = budget or Budget()
    n = _affordable(make, vocab_size, length, budget) if budget.seconds < math.inf else length or FIRST_LENGTH
    if not length:
        n = _long_enough(make, vocab_size, n, None if tokens is None else len(tokens) - 1, budget)

    def stream(seed: int) -> Tensor:
        if tokens is None:
            return synthetic(seed, n + 1, vocab_size)
        room = max(1, len(tokens) - n)
        first = seed * 7919 * n % room  # seeds start far apart, and at the same place each time
        return tokens[first : first + n + 1]

    tokenizer = getattr(evaluator, "tokenizer", None)
    return Subject(
        name,
        make,
        stream,
        vocab_size,
        tokens,
        Path(tokenizer) if tokenizer else None,
        getattr(evaluator, "byte_counts", None),
        None if (start := getattr(evaluator, "document_start", None)) is None else int(start),
    )


def _affordable(make: Make, vocab_size: int, wanted: int | None, budget: Budget) -> int:
    """The length that is wanted, or a shorter one if two short passes say that its passes take too long."""
    passes = PASSES_GIVEN if wanted else PASSES
    length = wanted or FIRST_LENGTH
    times: list[tuple[int, float]] = []
    for n in SHORT_LENGTHS:
        if n >= length:
            return length
        began = time.monotonic()
        with Heap() as heap:
            watch(make, synthetic(0, n + 1, vocab_size), heap=heap)
        times.append((n, time.monotonic() - began))
        budget.longest = max(budget.longest, times[-1][1])
        if times[-1][1] * length / n < budget.seconds / passes:
            return length
    return max(SHORT_LENGTHS[0], min(length, budget.affordable(times[0], times[1], passes)))


def _long_enough(make: Make, vocab_size: int, length: int, most: int | None, budget: Budget) -> int:
    """A length at which the state changes at least four times, or the longest to try. Up to a quarter of what the
    budget allows, no clock decides it: a probe must not see less on a busy machine."""
    while True:
        began = time.monotonic()
        with Heap() as heap:
            seen = watch(make, synthetic(0, length + 1, vocab_size), want_logp=False, heap=heap)
        took = time.monotonic() - began
        budget.longest = max(budget.longest, took)
        changes = sum(a != b for a, b in pairwise(seen.states))
        longer = 4 * length + 3
        if 4 * took > budget.seconds / PASSES:
            return min(length, most or length)
        if (
            changes >= 4
            or longer > (MAX_POSITIONS if changes else MAX_UNCHANGED)
            or longer * vocab_size > 1 << 26
            or (most and longer > most)
        ):
            return min(length, most or length)
        length = longer
