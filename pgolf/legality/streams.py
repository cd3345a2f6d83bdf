"""Streams to probe with, ways to replace what comes after a position, and which positions to choose."""

import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

import torch
from torch import Tensor

from pgolf.legality.normalisation import SAMPLES, Expected
from pgolf.legality.watch import Watched

T = TypeVar("T")
Marks = Collection[int]
PASSAGE = 64  # tokens of the passage that comes twice


def synthetic(seed: int, length: int, vocab_size: int) -> Tensor:
    """A stream int64 `[length]` with something to learn: a few phrases, some far more often than others, in documents
    that begin with token 1, and one long passage that comes twice."""
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
    stream = torch.cat(words)[:length]
    first, again = length // 8, length * 5 // 8
    if again + PASSAGE < length:
        stream[again : again + PASSAGE] = stream[first : first + PASSAGE].clone()
    return stream


TAILS = ("random tokens", "one token repeated", "other text")
# Changes of nearly all the stream: a choice made on the whole of it becomes another one
LARGE = (
    "a new token in each piece",
    "unexpected tokens",
    "one token repeated",
    "random tokens",
    "a new pair in each piece",
    "a short period",
    "the beginning, other tokens",
    "each token decides the next",
    "what it expects",
    "the beginning again",
    "a long period",
)
OFTENEST = 5  # of these that do it oftenest
UNEXPECTED = 1 / 16  # of the vocabulary: the tokens that an evaluator expects least


@dataclass(frozen=True)
class Changes:
    """How an evaluator takes a stream, so that changes suit it."""

    pieces: Tensor  # int64 [n + 1]: which piece each position is in; what is learnt is learnt between them
    expected: Expected


def replaced(
    tokens: Tensor, t: int, kind: str, vocab_size: int, seed: int, suited: Changes | None = None, marks: Marks = ()
) -> Tensor:
    """`tokens` with token t (kind 'token') or everything from t on replaced; x_t always becomes another one.

    `marks` are tokens that stay where they are, and come nowhere else (if x_t is one of them, it stays).
    """
    draw = torch.Generator().manual_seed(seed * 1_000_003 + t)
    other = tokens.clone()
    if kind != "token":
        other[t:] = _tail(tokens, t, kind, vocab_size, draw, suited)
    elif t % 3 == 0:
        other[t] = tokens[t - 1]  # an evaluator may do something where a token repeats, and nowhere else
    if other[t] == tokens[t]:
        other[t] = (tokens[t] + int(torch.randint(1, vocab_size, (1,), generator=draw))) % vocab_size
    return keeping(tokens, other, marks, vocab_size) if marks else other


def _tail(tokens: Tensor, t: int, kind: str, vocab_size: int, draw: torch.Generator, suited: Changes | None) -> Tensor:
    """What comes from t on, int64 `[len(tokens) - t]`."""
    rest = len(tokens) - t

    def drawn(n: int, below: int = vocab_size) -> Tensor:
        return torch.randint(below, (n,), generator=draw)

    def again(block: Tensor) -> Tensor:
        return block.repeat(-(-rest // len(block)))[:rest]

    suited = suited or Changes(torch.arange(len(tokens)) // PASSAGE, Expected(vocab_size))
    match kind:
        case "random tokens":
            return drawn(rest)
        case "one token repeated":
            return drawn(1).expand(rest)
        case "other text":
            return tokens.roll(len(tokens) // 2)[t:]
        case "a short period":
            return again(drawn(3))
        case "a long period":
            return again(drawn(max(1, rest // 4)))
        case "each token decides the next":
            return again(torch.randperm(vocab_size, generator=draw))
        case "the beginning again":
            return again(tokens[:t])
        case "the beginning, other tokens":
            return torch.randperm(vocab_size, generator=draw)[again(tokens[:t])]
        case "unexpected tokens":
            return suited.expected.mass.argsort()[drawn(rest, max(2, int(UNEXPECTED * vocab_size)))]
        case "what it expects":
            after, token, found = suited.expected.after.tolist(), int(tokens[t - 1]), []
            for i in drawn(rest, SAMPLES).tolist():
                token = after[token][i]
                found.append(token)
            return torch.tensor(found)
        case "a new token in each piece":
            return torch.randperm(vocab_size, generator=draw)[suited.pieces[t:] % vocab_size]
        case "a new pair in each piece":  # of a token that stays, and one that does not
            order = torch.randperm(vocab_size, generator=draw)
            new = order[1 + suited.pieces[t:] % (vocab_size - 1)]
            return torch.where(torch.arange(rest) % 2 == 0, order[0], new)
    raise ValueError(f"no such change: {kind}")


def keeping(tokens: Tensor, other: Tensor, marks: Marks, vocab_size: int) -> Tensor:
    """`other`, a change of `tokens`, with the marks where they are in `tokens`, and nowhere else."""
    plain = torch.tensor([v for v in range(vocab_size) if v not in set(marks)])
    if not len(plain):
        return tokens
    kept = torch.isin(tokens, torch.tensor(sorted(marks)))
    fits = torch.where(torch.isin(other, plain), other, plain[other % len(plain)])
    first = torch.nonzero((other != tokens) & ~kept).flatten()[:1]  # the token that has to be another one
    if len(first) and fits[first] == tokens[first]:
        at = int(torch.searchsorted(plain, tokens[first]))
        fits[first] = plain[(at + 1) % len(plain)]
    return torch.where(kept, tokens, fits)


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


REPEATED = (32, 16, 8)  # tokens of context that the stream has seen before


def special(tokens: Tensor, count: int, marks: Marks, last_piece: range, seed: int) -> list[int]:
    """Up to `count` positions at which an evaluator may do what it does nowhere else: where a document begins, in long
    repeats, at rare tokens, in the last piece."""
    rng, ids, n = random.Random(seed), tokens.tolist(), len(tokens) - 1
    often = torch.bincount(tokens)[tokens[1:]]
    kinds = [
        [t for t in range(1, n + 1) if ids[t - 1] in marks],
        *(_repeats(ids, context) for context in REPEATED),
        (torch.nonzero(often <= often.sort().values[n // 10]).flatten() + 1).tolist(),
        [t for t in last_piece if 1 <= t <= n],
    ]
    for found in kinds:
        rng.shuffle(found)
    in_turn = [t for places in zip_longest(*kinds) for t in places if t is not None]
    return list(dict.fromkeys(in_turn))[:count]


def _repeats(ids: list[int], context: int) -> list[int]:
    """Positions whose token and `context` tokens before it have come before."""
    seen, found = set(), []
    for t in range(context, len(ids)):
        here = tuple(ids[t - context : t + 1])
        if here in seen:
            found.append(t)
        seen.add(here)
    return found


def spread(values: Iterable[T], count: int) -> list[T]:
    """At most `count` of `values`, evenly over their order."""
    values = list(values)
    if len(values) <= count:
        return values
    return [values[i * len(values) // count] for i in range(count)]
