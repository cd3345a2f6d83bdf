"""Streams to probe with, ways to replace what comes after a position, and which positions to choose."""

import random
from collections.abc import Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from pgolf.legality.watch import Watched

T = TypeVar("T")


def synthetic(seed: int, length: int, vocab_size: int) -> Tensor:
    """A stream int64 `[length]` with something to learn: a few phrases, some far more often than others, in documents
    that begin with token 1."""
    draw = torch.Generator().manual_seed(seed)
    phrases = [
        torch.randint(min(2, vocab_size - 1), vocab_size, (int(n),), generator=draw)
        for n in torch.randint(3, 12, (40,), generator=draw)
    ]
    rank = torch.arange(1, len(phrases) + 1).reciprocal()
    chosen = torch.multinomial(rank, length, replacement=True, generator=draw)
    begins = torch.rand(length, generator=draw) < 0.05
    bos = torch.tensor([min(1, vocab_size - 1)])
    words = [torch.cat([bos, phrases[i]]) if new else phrases[i] for i, new in zip(chosen, begins, strict=True)]
    return torch.cat(words)[:length]


TAILS = ("random tokens", "one token repeated", "other text")


def replaced(tokens: Tensor, t: int, kind: str, vocab_size: int, seed: int) -> Tensor:
    """`tokens` with token t (kind 'token') or everything from t on replaced; x_t always becomes another one."""
    draw = torch.Generator().manual_seed(seed * 1_000_003 + t)
    other, rest = tokens.clone(), len(tokens) - t
    if kind == "random tokens":
        other[t:] = torch.randint(vocab_size, (rest,), generator=draw)
    elif kind == "one token repeated":
        other[t:] = int(torch.randint(vocab_size, (1,), generator=draw))
    elif kind == "other text":
        other[t:] = tokens.roll(len(tokens) // 2)[t:]
    if other[t] == tokens[t]:
        other[t] = (tokens[t] + int(torch.randint(1, vocab_size, (1,), generator=draw))) % vocab_size
    return other


def borders(seen: Watched) -> list[int]:
    """First positions of pieces, those before which the state changed first."""
    starts = [p.start for p in seen.pieces]
    learnt = [s for s, a, b in zip(starts[1:], seen.states, seen.states[1:], strict=False) if a != b]
    return learnt + [s for s in starts if s not in set(learnt)]


def choose(n: int, count: int, at_borders: Sequence[int], seed: int) -> list[int]:
    """Up to `count` positions of 1 … n: half of them around borders, then both ends, multiples of powers of two, and
    the rest at random."""
    rng = random.Random(seed)
    around = [*spread(at_borders, count // 3), *(b - 1 for b in spread(at_borders, count // 6))]
    powers = [1 << k for k in range(3, n.bit_length())]
    marks = [rng.randrange(1, n // p + 1) * p + rng.randrange(2) for p in powers for _ in range(1 + count // 64)]
    rng.shuffle(marks)
    chosen = dict.fromkeys([*around, 1, n, 2, n - 1, *marks[: count // 8]])
    chosen.update(dict.fromkeys(rng.sample(range(1, n + 1), n)))
    return [t for t in chosen if 1 <= t <= n][:count]


def spread(values: Iterable[T], count: int) -> list[T]:
    """At most `count` of `values`, evenly over their order."""
    values = list(values)
    if len(values) <= count:
        return values
    return [values[i * len(values) // count] for i in range(count)]
