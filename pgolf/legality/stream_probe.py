"""Probe an evaluator with one stream: pass after pass over it, unchanged, cut and changed, compared with each other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pgolf.errors import RunFailed
from pgolf.evidence.probes import CounterExample
from pgolf.legality.compare import (
    LENGTH_TOLERANCE,
    first_difference,
    first_disorder,
    first_large_difference,
    influence_edges,
    state_difference,
)
from pgolf.legality.normalisation import LOSS_TOLERANCE, Normalisation
from pgolf.legality.order import InOrder, Order, order_of
from pgolf.legality.state import Heap
from pgolf.legality.streams import TAILS, borders, choose, replaced, spread
from pgolf.legality.subject import Subject
from pgolf.legality.watch import Make, Watched, watch

BOUNDARIES = 4  # beginnings of documents to move, if the evaluator announces an order
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
    unsteady: CounterExample | None = None
    causal: CounterExample | None = None
    update: CounterExample | None = None
    order: CounterExample | None = None
    passes: int = 0
    notes: list[str] = field(default_factory=list)

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
        self.cut()
        self.move_boundaries()
        border_positions = borders(self.base)
        chosen = choose(self.n, count, border_positions, self.seed)
        fixed = self.announced.kept if self.announced else torch.zeros(self.n + 1, dtype=torch.bool)
        chosen = [t for t in chosen if not fixed[t]]
        self.at_borders = {t for t in chosen if t in border_positions or t + 1 in border_positions}
        edges = self.change_at(chosen, INFLUENCE_PASSES, progress)
        edges = spread([e for e in edges if e not in chosen and not fixed[e]], count // 4)
        self.at_borders.update(edges)
        self.change_at(edges, 0, progress)
        return self

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
        """Run one pass, and check that each position came once and in order."""
        seen = watch(make or self.make, tokens, **options)
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
        """Cut the stream short. Its length is no token before t, but it may steer what is learnt (by a schedule that
        spans the stream): so scores must stay the same until something was learnt, and a note tells of later ones that
        move. Not done if the announced order is not the stream's: a cut stream has another beginning then."""
        if self.announced and not self.announced.is_the_streams:
            return
        states = self.base.states
        unlearnt = next((p.start - 1 for p, s in zip(self.base.pieces, states, strict=True) if s != states[0]), self.n)
        for m in {self.n * 2 // 3, max(1, unlearnt * 2 // 3)}:
            try:
                seen = self.watch(self.tokens[: m + 1], self.subject.make)
            except RunFailed as e:
                self.notes.append(f"A stream of {m} positions could not be tried: {e}")
                continue
            positions = seen.positions  # some may be missing, or come twice: probe `one pass` reports that
            ours = torch.tensor([self.base.loss(t) for t in positions.tolist()], dtype=torch.float64)
            theirs = seen.losses.double()
            differs = (ours - theirs).abs() > LENGTH_TOLERANCE
            early = torch.nonzero(differs & (positions <= unlearnt)).flatten()
            if len(early):
                at = int(positions[early[0]])
                before, after = float(ours[early[0]]), float(theirs[early[0]])
                what = (
                    f"the loss at position {at} moves from {before:.9g} to {after:.9g} where the stream ends after {m}"
                )
                self.causal = self.causal or CounterExample(what, at, m + 1, "the end", self.seed, before, after)
            elif differs.any():
                note = (
                    "The length of the stream moves scores, after something was learnt: a schedule that spans it would."
                )
                self.notes.append(note)

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
            self.causal = self.causal or first_large_difference(before, seen, t, "a document's end, later", self.seed)
        if later_ends and not self.causal:
            self.notes.append(
                f"{len(later_ends)} documents were made to end later, which changed nothing before their end"
            )
        elif not later_ends:
            self.notes.append("No document can end later in the same order: what their ends give away was not tested")

    def change_at(self, positions: Sequence[int], influence_passes: int, progress: Progress) -> list[int]:
        """Try each position; returns the positions at which one changed token's influence began or ended."""
        if not positions or self.unsteady:
            return []
        again = self.watch(self.tokens, keep=set(positions), heap=self.heap)
        self.unsteady = first_difference(self.base, again, self.n + 1, "the same stream again", self.seed)
        edges: list[int] = []
        for i, t in enumerate(positions):
            if self.unsteady:
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

    def change(self, ref: Watched, t: int, kind: str, whole: bool = False) -> tuple[CounterExample | None, Watched]:
        """Replace token t, or all from t on, and compare that pass with `ref`, the pass over the unchanged stream."""
        other = replaced(self.tokens, t, kind, self.subject.vocab_size, self.seed)
        if self.announced:
            other = self.announced.keep(self.tokens, other, self.subject.vocab_size)
        until = None if whole or not ref.in_order else t
        seen = self.watch(other, keep={t}, until=until, heap=self.heap)
        example = first_difference(ref, seen, t, kind, self.seed)
        self.update = self.update or state_difference(ref, seen, t, kind, self.seed)
        if not example and kind == "token" and t in ref.rows and t in seen.rows:
            expected, got = -float(ref.rows[t][other[t]]), seen.loss(t)
            if not abs(expected - got) <= LOSS_TOLERANCE:
                what = f"with another target the loss is {got:.9g}; the distribution without it says {expected:.9g}"
                example = CounterExample(what, t, t, kind, self.seed, expected, got)
        return example, seen


def _in_order(make: Make, order: Order) -> InOrder:
    return InOrder(make(), order)
