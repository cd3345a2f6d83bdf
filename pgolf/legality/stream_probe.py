"""Probe an evaluator with one stream: pass after pass over it, unchanged, cut and changed, compared with each other."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from pgolf.errors import RunFailed
from pgolf.evidence.probes import CounterExample
from pgolf.legality.budget import Budget, OutOfTime
from pgolf.legality.compare import (
    ROUNDING,
    Difference,
    difference,
    first_disorder,
    influence_edges,
    repetition,
    state_difference,
)
from pgolf.legality.normalisation import LOSS_TOLERANCE, Normalisation
from pgolf.legality.order import InOrder, Order, order_of
from pgolf.legality.rounding import COARSEST, Rounding, marks_of
from pgolf.legality.state import Heap
from pgolf.legality.streams import (
    LARGE,
    OFTENEST,
    PASSAGE,
    TAILS,
    Changes,
    Marks,
    borders,
    choose,
    replaced,
    special,
    spread,
)
from pgolf.legality.subject import Subject
from pgolf.legality.watch import Make, Watched, watch

BOUNDARIES = 4  # beginnings of documents to move, if the evaluator announces an order
SHORTEST = 16  # positions of a piece, in an evaluator that shows none: below, it is a token's own context
BY_DOCUMENTS = 4  # changes that move documents' beginnings, once it is known that these move scores
INFLUENCE_PASSES = 4  # full passes a stream to see how far one changed token reaches
Progress = Callable[[str, int, int], None]


@dataclass
class StreamProbe:
    """All passes over one stream, and the first counter-example to each rule."""

    subject: Subject
    seed: int
    heap: Heap
    tokens: Tensor = field(init=False)  # in the order in which they are scored
    make: Make = field(init=False)
    announced: Order | None = None
    normalisation: Normalisation = field(init=False)
    base: Watched = field(init=False)
    tried: list[int] = field(default_factory=list)
    at_borders: set[int] = field(default_factory=set)
    suited: Changes | None = None
    large: list[str] = field(default_factory=list)  # changes of nearly all the stream
    rounding: Rounding = field(default_factory=Rounding)
    unsteady: CounterExample | None = None
    causal: CounterExample | None = None
    update: CounterExample | None = None
    order: CounterExample | None = None
    passes: int = 0
    notes: list[str] = field(default_factory=list)
    budget: Budget = field(default_factory=Budget)
    until: float = math.inf  # when this stream's part of the budget ends
    wanted: int = 0  # positions to change, if there is time
    required: bool = True  # whether passes are made without asking for time

    @property
    def decided(self) -> bool:
        """Whether more changes would say no more: both rules are broken, or the evaluator does not repeat itself."""
        return self.unsteady is not None or (self.causal is not None and self.update is not None)

    def run(self, count: int, progress: Progress) -> "StreamProbe":
        """Change the stream at `count` positions, and at up to a quarter more where influence begins or ends."""
        self.tokens, self.make = self.subject.stream(self.seed), self.subject.make
        self.n = len(self.tokens) - 1
        self.arrange()
        self.normalisation = Normalisation(self.tokens, self.subject.vocab_size)
        self.base = self.watch(self.tokens, heap=self.heap, each=self.normalisation)
        if not self.base.pieces:
            return self
        self.compare_modes()
        self.required = False
        with suppress(OutOfTime):
            self.change_stream(count, progress)
        self.judge_rounding()
        return self

    def change_stream(self, count: int, progress: Progress) -> None:
        """All that compares changed streams with the unchanged one; OutOfTime where that takes too long."""
        self.cut()
        self.move_boundaries()
        border_positions = borders(self.base)
        self.fixed: Marks = (self.announced.start,) if self.announced else ()
        fixed = torch.isin(self.tokens, torch.tensor(self.fixed, dtype=torch.int64))
        chosen = choose(self.n, count, border_positions, self.seed)
        marks = self.fixed or (1 if self.subject.document_start is None else self.subject.document_start,)
        chosen += special(self.tokens, count // 4, marks, self.base.pieces[-1], self.seed)
        chosen = [t for t in dict.fromkeys(chosen) if not fixed[t]]
        self.at_borders = {t for t in chosen if t in border_positions or t + 1 in border_positions}
        edges = self.change_at(chosen[:INFLUENCE_PASSES], INFLUENCE_PASSES, progress)
        self.change_nearly_all(max(1, count * 2 // 3), _piece(edges))
        self.change_at(chosen[INFLUENCE_PASSES:], 0, progress)
        edges = spread([e for e in edges if e not in chosen and not fixed[e]], count // 4)
        self.at_borders.update(edges)
        self.change_at(edges, 0, progress)

    def arrange(self) -> None:
        """If the evaluator announces a permitted order, look at everything in that order."""
        order = order_of(self.subject.make(), self.tokens, self.subject.vocab_size)
        if isinstance(order, CounterExample):
            self.order = order
        elif order:
            self.announced, stream = order, self.tokens
            self.tokens, self.make = order.rearranged(stream), lambda: InOrder(self.subject.make(), order)
            how = "the stream's" if order.is_the_streams else "not the stream's: a strict left to right it is not"
            self.notes.append(
                f"Positions are counted in the order that the evaluator announces, which follows from where documents "
                f"begin and is {how}. The {int(order.kept.sum())} tokens {order.start} that begin them were kept in "
                f"place"
            )

    def watch(self, tokens: Tensor, make: Make | None = None, **options: Any) -> Watched:
        """Run one pass, and check that each position came once and in order; OutOfTime if there is no time for it."""
        if not self.required and not self.budget.fits(1, self.until):
            raise OutOfTime("the stream's part of the budget ends")
        began = time.monotonic()
        seen = watch(make or self.make, tokens, **options)
        self.budget.longest = max(self.budget.longest, time.monotonic() - began)
        self.passes += 1
        self.order = self.order or first_disorder(
            seen, len(tokens) - 1, whole=options.get("until") is None, seed=self.seed
        )
        return seen

    def compare_modes(self) -> None:
        """The losses must be the same whether or not distributions are asked for."""
        plain = self.watch(self.tokens, want_logp=False)
        example = None
        if not torch.equal(plain.positions, self.base.positions):
            example = CounterExample("other positions are scored where no distributions are asked for")
        elif len(plain.losses):
            apart = (plain.losses.double() - self.base.losses.double()).abs().nan_to_num(nan=float("inf"))
            self.normalisation.worst_loss = max(self.normalisation.worst_loss, float(apart.max()))
            if float(apart.max()) > LOSS_TOLERANCE:
                i = int(apart.argmax())
                told, untold = float(self.base.losses[i]), float(plain.losses[i])
                what = f"the loss is {untold:.9g} where no distributions are asked for, {told:.9g} where they are"
                example = CounterExample(what, int(plain.positions[i]), seed=self.seed, before=told, after=untold)
        self.normalisation.example = self.normalisation.example or example

    def cut(self) -> None:
        """Cut the stream short. Its length is public, so what depends on it alone is no offence; a note tells of it.
        Not done if the announced order is not the stream's: a cut stream has another beginning then."""
        if self.announced and not self.announced.is_the_streams:
            return
        m = max(1, self.n * 2 // 3)
        try:
            seen = self.watch(self.tokens[: m + 1], self.subject.make)
        except OutOfTime:
            raise
        except RunFailed as e:
            self.notes.append(f"A stream of {m} positions could not be tried: {e}")
            return
        positions = seen.positions  # some may be missing, or come twice: probe `one pass` reports that
        ours = torch.tensor([self.base.loss(t) for t in positions.tolist()], dtype=torch.float64)
        if bool(((ours - seen.losses.double()).abs() > ROUNDING).any()):
            self.notes.append("The length of the stream moves scores, as a schedule over it does: it is public")

    def move_boundaries(self) -> None:
        """Let documents end later: scores before the end, and the distribution at it, may differ by rounding only.
        Without this, an evaluator could announce an order to hide that it sees where documents end."""
        if not self.announced:
            return
        stream = self.announced.put_back(self.tokens)
        start, ranks = self.announced.start, self.announced.ranks
        later_ends: list[tuple[int, Order, Tensor]] = []
        ends = [b for b in torch.nonzero(stream == start).flatten().tolist() if 1 <= b < self.n]
        for b, gone in [(b, gone) for b in ends if stream[b + 1] != start for gone in (False, True)]:
            other, t = stream.clone(), int(ranks[b])
            other[b : b + 2] = torch.stack([stream[b + 1], stream[b + 1] if gone else stream[b]])
            order = order_of(self.subject.make(), other, self.subject.vocab_size)
            if isinstance(order, Order) and torch.equal(order.places[:t], self.announced.places[:t]):
                later_ends.append((t, order, order.rearranged(other)))
        later_ends = spread(later_ends, BOUNDARIES)
        before = self.watch(self.tokens, keep={t for t, *_ in later_ends})
        for t, order, other in later_ends:
            seen = self.watch(other, partial(_in_order, self.subject.make, order), keep={t}, until=t)
            found = difference(before, seen, t, "a document's end, later", self.seed)
            if found:
                self.rounding.by_documents.append(found)
        if later_ends and not self.rounding.example():
            self.notes.append(
                f"{len(later_ends)} documents were made to end later, which changed nothing before their end"
            )
        elif not later_ends:
            self.notes.append("No document can end later in the same order: what their ends give away was not tested")

    def change_at(self, positions: Sequence[int], influence_passes: int, progress: Progress) -> list[int]:
        """Try each position; returns the positions at which one changed token's influence began or ended."""
        if not positions or self.decided:
            return []
        again = self.watch(self.tokens, keep=set(positions), heap=self.heap)
        self.unsteady = repetition(self.base, again, self.n, self.seed)
        edges: list[int] = []
        self.wanted += len(positions)
        for i, t in enumerate(positions):
            if self.decided:
                break
            tails = TAILS if t in self.at_borders else [TAILS[i % len(TAILS)]]
            for tail in tails:
                self.causal = self.causal or self.change(again, t, tail)[0]
            example, seen = self.change(again, t, "token", whole=i < influence_passes)
            self.update = self.update or example
            if seen is not None and i < influence_passes:
                edges += influence_edges(again, seen, t)
            self.tried.append(t)
            progress(f"{self.subject.name}, stream {self.seed}", i + 1, len(positions))
        return edges

    def change_nearly_all(self, count: int, piece: int) -> None:
        """Make up to `count` large changes from three early positions on: a choice made on the whole stream becomes
        another one, and shows in the scores before. `piece`: positions of a piece, in an evaluator that shows none."""
        if self.unsteady or self.causal:
            return
        self.suited = self.suit(piece)
        second, third = (min(int((self.suited.pieces < i).sum()), self.n // 4) + SHORTEST for i in (1, 2))
        later = self.n // (8 if self.seed % 2 else 3)
        changes = [(second, kind) for kind in LARGE] + [(t, kind) for t in (third, later) for kind in LARGE[:OFTENEST]]
        changes = [(min(t, self.n), kind) for t, kind in changes][:count]
        ref = self.watch(self.tokens, keep={t for t, _ in changes}, until=max(t for t, _ in changes))
        for t, kind in changes:
            self.causal = self.causal or self.change(ref, t, kind)[0]
            self.large.append(kind)

    def change(self, ref: Watched, t: int, kind: str, whole: bool = False) -> tuple[CounterExample | None, Watched]:
        """Replace token t, or all from t on, and compare that pass with `ref`, the pass over the unchanged stream.
        Where scores move by little, look whether they still do when documents begin where they did."""
        self.stop = None if whole or not ref.in_order else t
        marks = self.fixed
        if len(self.rounding.by_documents) >= BY_DOCUMENTS and int(self.tokens[t]) not in self.marks:
            marks = self.marks
        other, seen, found, state = self.try_change(ref, t, kind, marks)
        if kind == "token" and found and found.size <= COARSEST:
            self.rounding.compare_tokens(ref, seen, t, int(self.tokens[t]), int(other[t]))
        if (found or state) and (found is None or found.size <= COARSEST) and marks != self.marks:
            moved = found
            other, seen, found, state = self.try_change(ref, t, kind, self.marks)
            if moved and not found:
                self.rounding.by_documents.append(moved)
        if found and found.size <= ROUNDING:
            self.rounding.by_content.append(found)
            return None, seen
        self.update = self.update or state
        if found:
            return found.example, seen
        if kind == "token" and t in seen.rows:
            expected, got = -float(seen.rows[t][other[t]]), seen.loss(t)
            if not abs(expected - got) <= LOSS_TOLERANCE:
                what = f"with another target the loss is {got:.9g}; the distribution without it says {expected:.9g}"
                return CounterExample(what, t, t, kind, self.seed, expected, got), seen
        return None, seen

    def try_change(
        self, ref: Watched, t: int, kind: str, marks: Marks
    ) -> tuple[Tensor, Watched, Difference | None, CounterExample | None]:
        """(changed stream, its pass, moved scores, moved states)."""
        other = replaced(self.tokens, t, kind, self.subject.vocab_size, self.seed, self.suited, marks)
        seen = self.watch(other, keep={t}, until=self.stop, heap=self.heap)
        found = difference(ref, seen, t, kind, self.seed)
        return other, seen, found, state_difference(ref, seen, t, kind, self.seed)

    def suit(self, piece: int) -> Changes:
        """What changes take from the evaluator: where it learns (else, its pieces), and what it expects."""
        begins = [p.start for p in self.base.pieces]
        learnt = [b for b, a, c in zip(begins[1:], self.base.states, self.base.states[1:], strict=False) if a != c]
        inside = [b for b in learnt or begins if 1 < b <= self.n] or list(range(piece + 1, self.n, piece))
        is_first = torch.zeros(self.n + 1, dtype=torch.int64)
        is_first[inside] = 1
        return Changes(is_first.cumsum(0), self.normalisation.expected)

    @cached_property
    def marks(self) -> Marks:
        return marks_of(self.subject) | set(self.fixed)

    def judge_rounding(self) -> None:
        """Small moves that are no rounding are offences like large ones."""
        favoured = self.rounding.favoured(self.seed)
        self.causal = self.causal or favoured or self.rounding.example()
        self.update = self.update or favoured
        self.notes += self.rounding.notes()


def _piece(edges: Sequence[int]) -> int:
    """Positions of a piece, in an evaluator that shows none: influence comes back with the second one. A multiple of 8,
    as pieces are: in one that is a little off, many would have tokens of two."""
    return min([(e - 1) // 8 * 8 for e in edges if e > SHORTEST], default=PASSAGE)


def _in_order(make: Make, order: Order) -> InOrder:
    return InOrder(make(), order)
