"""The five probes that watch an evaluator from outside. See docs/legality.md for what each can and cannot show."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import sentencepiece as spm
import torch
from torch import Tensor

from pgolf.errors import BadInput, RunFailed
from pgolf.evidence.probes import CounterExample, ProbeResult
from pgolf.legality.order import InOrder, Order, order_of
from pgolf.legality.state import Heap
from pgolf.legality.streams import TAILS, borders, choose, replaced, spread, synthetic
from pgolf.legality.watch import Make, Watched, differ, watch

SUM_TOLERANCE = 1e-6  # of a distribution's sum
LOSS_TOLERANCE = 1e-5  # nats between a loss and −log p(target): float32 has steps of 1e-6 at 10 nats
LENGTH_TOLERANCE = 1e-4  # nats: another length makes other batches, which round otherwise
BOUNDARIES = 4  # beginnings of documents that are moved, where an order is announced
MAX_POSITIONS = 1 << 15  # positions of a stream that nobody gave a length
INFLUENCE_PASSES = 4  # full passes a stream that look how far one changed token reaches
Progress = Callable[[str, int, int], None]


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


def subject_of(name: str, make: Make, length: int | None = None, tokens: Tensor | None = None) -> Subject:
    """A `Subject` of any evaluator, which may say more of itself: `vocab_size` (else asked for, on a stream of nothing
    but token 0), `tokenizer` (path) and `byte_counts`.

    Parameters
    ----------
    length : positions of a stream; None: enough to see the state change a few times, up to MAX_POSITIONS.
    tokens : real ones, of which streams are cut; None: streams are made up.
    """
    evaluator = make()
    vocab_size = int(getattr(evaluator, "vocab_size", 0))
    if not vocab_size:
        widths: list[int] = []
        watch(make, torch.zeros(9, dtype=torch.int64), each=lambda start, losses, logp: widths.append(logp.shape[1]))
        vocab_size = max(widths, default=0)
    if vocab_size < 2:
        raise BadInput(f"{name}: a vocabulary of {vocab_size} has nothing to predict; set vocab_size on the evaluator")
    if tokens is not None and int(tokens.max()) >= vocab_size:
        raise BadInput(f"{name}: the stream has token {int(tokens.max())}, its vocabulary ends at {vocab_size - 1}")

    length = length or _long_enough(make, vocab_size, None if tokens is None else len(tokens) - 1)

    def stream(seed: int) -> Tensor:
        if tokens is None:
            return synthetic(seed, length + 1, vocab_size)
        room = max(1, len(tokens) - length)
        first = seed * 7919 * length % room  # far apart, and the same each time
        return tokens[first : first + length + 1]

    tokenizer = getattr(evaluator, "tokenizer", None)
    return Subject(
        name,
        make,
        stream,
        vocab_size,
        tokens,
        Path(tokenizer) if tokenizer else None,
        getattr(evaluator, "byte_counts", None),
    )


def _long_enough(make: Make, vocab_size: int, most: int | None) -> int:
    """A length at which the state changes at least four times, or the longest to try. No clock decides it: a probe must
    not see less on a busy machine."""
    length = 2011  # no multiple of anything: the last window and chunk are cut
    while True:
        with Heap() as heap:
            seen = watch(make, synthetic(0, length + 1, vocab_size), want_logp=False, heap=heap)
        changes = sum(a != b for a, b in pairwise(seen.states))
        longer = 4 * length + 3
        if changes >= 4 or longer > MAX_POSITIONS or longer * vocab_size > 1 << 26 or (most and longer > most):
            return min(length, most or length)
        length = longer


class Normalisation:
    """Sums of all distributions of a stream, and whether each loss is the target's."""

    def __init__(self, tokens: Tensor, vocab_size: int):
        self.tokens, self.vocab_size = tokens, vocab_size
        self.checked, self.worst_sum, self.worst_loss = 0, 0.0, 0.0
        self.found: CounterExample | None = None

    def __call__(self, start: int, losses: Tensor, logp: Tensor) -> None:
        if start < 1 or start + len(losses) > len(self.tokens):
            return  # no such positions; that is for `one-pass` to say
        if logp.shape[1] != self.vocab_size:
            what = f"distributions are over {logp.shape[1]} tokens, the vocabulary has {self.vocab_size}"
            self.found = self.found or CounterExample(what, start)
            return
        for at in range(0, len(losses), 1024):
            rows = logp[at : at + 1024].double()
            self._check(start + at, losses[at : at + 1024].double(), rows)

    def _check(self, start: int, losses: Tensor, logp: Tensor) -> None:
        targets = self.tokens[start : start + len(losses)]
        off = (logp.exp().sum(-1) - 1).abs().nan_to_num(nan=float("inf"))
        apart = (losses + logp.gather(1, targets[:, None])[:, 0]).abs().nan_to_num(nan=float("inf"))
        apart[~losses.isfinite()] = float("inf")
        self.checked += len(losses)
        self.worst_sum = max(self.worst_sum, float(off.max()))
        self.worst_loss = max(self.worst_loss, float(apart.max()))
        for bad, limit, what in (
            (off, SUM_TOLERANCE, "the distribution sums to {sum:.9g}"),
            (apart, LOSS_TOLERANCE, "the loss is {loss:.9g} nats, −log p(target) is {says:.9g}"),
        ):
            over = torch.nonzero(bad > limit).flatten()
            if len(over) and self.found is None:
                i = int(over[0])
                says = -float(logp[i, targets[i]])
                figures = {"sum": float(logp[i].exp().sum()), "loss": float(losses[i]), "says": says}
                self.found = CounterExample(what.format(**figures), start + i, before=says, after=figures["loss"])


@dataclass
class Trial:
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

    def run(self, count: int, progress: Progress) -> "Trial":
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
        found = borders(self.base)
        chosen = choose(self.n, count, found, self.seed)
        fixed = self.announced.kept if self.announced else torch.zeros(self.n + 1, dtype=torch.bool)
        chosen = [t for t in chosen if not fixed[t]]
        self.at_borders = {t for t in chosen if t in found or t + 1 in found}
        edges = self.change_at(chosen, INFLUENCE_PASSES, progress)
        edges = spread([e for e in edges if e not in chosen and not fixed[e]], count // 4)
        self.at_borders.update(edges)
        self.change_at(edges, 0, progress)
        return self

    def arrange(self) -> None:
        """Where the evaluator announces an order that may be, look at everything in that order."""
        found = order_of(self.subject.make(), self.tokens, self.subject.vocab_size)
        if isinstance(found, CounterExample):
            self.order = found
        elif found:
            self.announced, stream = found, self.tokens
            self.tokens, self.make = found.rearranged(stream), lambda: InOrder(self.subject.make(), found)
            how = "the stream's" if found.is_the_streams else "not the stream's: a strict left to right it is not"
            self.notes.append(
                f"Positions are counted in the order that the evaluator announces, which follows from where documents "
                f"begin and is {how}. The {int(found.kept.sum())} tokens {found.start} that begin them were kept in "
                f"place"
            )

    def watch(self, tokens: Tensor, make: Make | None = None, **options: Any) -> Watched:
        """One pass; whether each position came once and in order is looked at every time."""
        seen = watch(make or self.make, tokens, **options)
        self.passes += 1
        self.order = self.order or _disorder(seen, len(tokens) - 1, whole=options.get("until") is None, seed=self.seed)
        return seen

    def compare_modes(self) -> None:
        """The losses must be the same whether or not distributions are asked for."""
        plain = self.watch(self.tokens, want_logp=False)
        found = None
        if not torch.equal(plain.positions, self.base.positions):
            found = CounterExample("other positions are scored where no distributions are asked for")
        elif len(plain.losses):
            apart = (plain.losses.double() - self.base.losses.double()).abs().nan_to_num(nan=float("inf"))
            self.normalisation.worst_loss = max(self.normalisation.worst_loss, float(apart.max()))
            if float(apart.max()) > LOSS_TOLERANCE:
                i = int(apart.argmax())
                told, untold = float(self.base.losses[i]), float(plain.losses[i])
                what = f"the loss is {untold:.9g} where no distributions are asked for, {told:.9g} where they are"
                found = CounterExample(what, int(plain.positions[i]), seed=self.seed, before=told, after=untold)
        self.normalisation.found = self.normalisation.found or found

    def cut(self) -> None:
        """The stream's length is no token before t. It may steer what is learnt (a schedule that spans the stream), so
        it must not move what is given before anything was learnt, and is reported where it moves more. An announced
        order that is not the stream's has no beginning to keep."""
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
            positions = seen.positions  # some may be missing, or come twice: that is for `one pass` to say
            ours = torch.tensor([self.base.loss(t) for t in positions.tolist()], dtype=torch.float64)
            theirs = seen.losses.double()
            moved = (ours - theirs).abs() > LENGTH_TOLERANCE
            early = torch.nonzero(moved & (positions <= unlearnt)).flatten()
            if len(early):
                at = int(positions[early[0]])
                before, after = float(ours[early[0]]), float(theirs[early[0]])
                what = (
                    f"the loss at position {at} moves from {before:.9g} to {after:.9g} where the stream ends after {m}"
                )
                self.causal = self.causal or CounterExample(what, at, m + 1, "the end", self.seed, before, after)
            elif moved.any():
                note = (
                    "The length of the stream moves scores, after something was learnt: a schedule that spans it would."
                )
                self.notes.append(note)

    def move_boundaries(self) -> None:
        """Let documents end later: what is scored before, and the distribution there, may only round otherwise. Else an
        order could be announced to hide that the evaluator sees where documents end."""
        if not self.announced:
            return
        stream = self.announced.put_back(self.tokens)
        start, ranks = self.announced.start, self.announced.ranks
        found: list[tuple[int, Order, Tensor]] = []
        ends = [b for b in torch.nonzero(stream == start).flatten().tolist() if 1 <= b < self.n]
        for b, gone in [(b, gone) for b in ends if stream[b + 1] != start for gone in (False, True)]:
            other, t = stream.clone(), int(ranks[b])
            other[b : b + 2] = torch.stack([stream[b + 1], stream[b + 1] if gone else stream[b]])
            order = order_of(self.subject.make(), other, self.subject.vocab_size)
            if isinstance(order, Order) and torch.equal(order.places[:t], self.announced.places[:t]):
                found.append((t, order, order.rearranged(other)))
        found = spread(found, BOUNDARIES)
        before = self.watch(self.tokens, keep={t for t, *_ in found})
        for t, order, other in found:
            seen = self.watch(other, partial(_in_order, self.subject.make, order), keep={t}, until=t)
            self.causal = self.causal or _moved_much(before, seen, t, "a document's end, later", self.seed)
        if found and not self.causal:
            self.notes.append(f"{len(found)} documents were made to end later, which changed nothing before their end")
        elif not found:
            self.notes.append("No document can end later in the same order: what their ends give away was not tested")

    def change_at(self, positions: Sequence[int], influence_passes: int, progress: Progress) -> list[int]:
        """Try each position; gives the positions at which one changed token's influence began or ended."""
        if not positions or self.unsteady:
            return []
        again = self.watch(self.tokens, keep=set(positions), heap=self.heap)
        self.unsteady = _moved(self.base, again, self.n + 1, "the same stream again", self.seed)
        edges: list[int] = []
        for i, t in enumerate(positions):
            if self.unsteady:
                break
            tails = TAILS if t in self.at_borders else [TAILS[i % len(TAILS)]]
            for tail in tails:
                self.causal = self.causal or self.change(again, t, tail)[0]
            found, seen = self.change(again, t, "token", whole=i < influence_passes)
            self.update = self.update or found
            if seen is not None and i < influence_passes:
                edges += _edges(again, seen, t)
            self.tried.append(t)
            progress(f"{self.subject.name}, stream {self.seed}", i + 1, len(positions))
        return edges

    def change(self, ref: Watched, t: int, kind: str, whole: bool = False) -> tuple[CounterExample | None, Watched]:
        """A pass over the stream with token t, or all from t on, replaced, against `ref`, the pass without that."""
        other = replaced(self.tokens, t, kind, self.subject.vocab_size, self.seed)
        if self.announced:
            other = self.announced.keep(self.tokens, other, self.subject.vocab_size)
        until = None if whole or not ref.in_order else t
        seen = self.watch(other, keep={t}, until=until, heap=self.heap)
        found = _moved(ref, seen, t, kind, self.seed)
        self.update = self.update or _state_moved(ref, seen, t, kind, self.seed)
        if not found and kind == "token" and t in ref.rows and t in seen.rows:
            expected, got = -float(ref.rows[t][other[t]]), seen.loss(t)
            if not abs(expected - got) <= LOSS_TOLERANCE:
                what = f"with another target the loss is {got:.9g}; the distribution without it says {expected:.9g}"
                found = CounterExample(what, t, t, kind, self.seed, expected, got)
        return found, seen


def _moved(ref: Watched, seen: Watched, t: int, kind: str, seed: int) -> CounterExample | None:
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
        return CounterExample("the state after the same tokens is another one", seed=seed)
    return None


def _in_order(make: Make, order: Order) -> InOrder:
    return InOrder(make(), order)


def _moved_much(ref: Watched, seen: Watched, t: int, kind: str, seed: int) -> CounterExample | None:
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


def _state_moved(ref: Watched, seen: Watched, t: int, kind: str, seed: int) -> CounterExample | None:
    for a, b, piece in zip(ref.states_before(t), seen.states_before(t), ref.pieces, strict=False):
        if a != b:
            what = (
                f"the state in which positions {piece.start} to {piece.stop - 1} were given already depends on tokens "
                f"from {t} on, which had not been scored"
            )
            return CounterExample(what, piece.start, t, kind, seed)
    return None


def _disorder(seen: Watched, n: int, whole: bool, seed: int) -> CounterExample | None:
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


def _edges(ref: Watched, seen: Watched, t: int) -> list[int]:
    """Positions after t at which the changed token t begins or ceases to move losses."""
    if not torch.equal(ref.positions, seen.positions):
        return []
    moved = differ(ref.losses, seen.losses)
    flips = torch.nonzero(moved[1:] != moved[:-1]).flatten() + 1
    return [p for p in ref.positions[flips].tolist() if p > t + 1]


def probe(
    subject: Subject,
    *,
    positions: int = 32,
    seeds: Sequence[int] = (0, 1),
    progress: Progress = lambda what, done, total: None,
) -> list[ProbeResult]:
    """Probe an evaluator from outside: causal, normalised, score before update, one pass, byte-exact.

    Parameters
    ----------
    positions : positions a stream to change the tokens at.
    seeds : one stream each.

    Raises
    ------
    RunFailed : the evaluator raises, or does not offer the interface of `watch.Evaluator`.

    Examples
    --------
    >>> def uniform(tokens, want_logp=False):
    ...     n, logp = len(tokens) - 1, torch.full((len(tokens) - 1, 4), 0.25).log()
    ...     yield 1, -logp[:, 0], logp if want_logp else None
    >>> results = probe(subject_of("uniform", lambda: uniform, length=50), positions=8, seeds=(0,))
    >>> [(r.probe, r.passed) for r in results[:4]]
    [('causal', True), ('normalised', True), ('score before update', True), ('one pass', True)]
    """
    with Heap() as heap:
        trials = [Trial(subject, seed, heap).run(positions, progress) for seed in seeds]
    return [_causal(trials), _normalised(trials), _before_update(trials), _one_pass(trials), byte_exact(subject)]


def _result(name: str, trials: list[Trial], found: CounterExample | None, power: str, **facts: Any) -> ProbeResult:
    """A result of all trials; an evaluator that does not repeat itself passes nothing that compares two passes."""
    unsteady = next((t.unsteady for t in trials if t.unsteady), None)
    return ProbeResult(
        probe=name,
        subject=trials[0].subject.name,
        passed=found is None,
        deterministic=unsteady is None,
        power=power,
        seeds=tuple(t.seed for t in trials),
        counter_example=found,
        notes=tuple(dict.fromkeys(note for t in trials for note in t.notes)) if name == "causal" else (),
        **facts,
    )


def _steady(trials: list[Trial]) -> CounterExample | None:
    return next((t.unsteady for t in trials if t.unsteady), None)


def _spent(trials: list[Trial]) -> tuple[int, int, str]:
    """(positions, borders, sentence on what so many positions can show)."""
    tried, at_borders = sum(len(t.tried) for t in trials), sum(len(t.at_borders) for t in trials)
    share = 1 - 0.05 ** (1 / tried) if tried else 1.0
    rule = f"an offence at one in {1 / share:.0f} positions is seen with 95 %" if tried else "nothing was compared"
    return tried, at_borders, rule


def _learns(trials: list[Trial]) -> str:
    changes = [sum(a != b for a, b in pairwise(t.base.states)) for t in trials]
    pieces = [len(t.base.pieces) for t in trials]
    seen = f"the state was seen to change {sum(changes)} times" if sum(changes) else "no state was seen to change"
    return f"of {sum(pieces)} pieces, between which {seen}"


def _causal(trials: list[Trial]) -> ProbeResult:
    tried, at_borders, rule = _spent(trials)
    found = _steady(trials) or next((t.causal for t in trials if t.causal), None)
    compared = sum(sum(t.tried) for t in trials)
    power = (
        f"Streams of {trials[0].n} positions were changed from {tried} positions on, {at_borders} of them at borders "
        f"({_learns(trials)}), by {', '.join(TAILS)}; {compared} scores and {tried} distributions that lie before a "
        f"change were compared bit for bit. {rule[0].upper()}{rule[1:]}."
    )
    return _result("causal", trials, found, power, positions=tried, borders=at_borders)


def _before_update(trials: list[Trial]) -> ProbeResult:
    tried, at_borders, rule = _spent(trials)
    found = _steady(trials) or next((t.update for t in trials if t.update), None)
    power = (
        f"One token was changed at {tried} positions, {at_borders} of them at borders: the distribution there and the "
        f"states before it ({_learns(trials)}) were compared bit for bit. {rule[0].upper()}{rule[1:]}."
    )
    return _result("score before update", trials, found, power, positions=tried, borders=at_borders)


def _normalised(trials: list[Trial]) -> ProbeResult:
    checks = [t.normalisation for t in trials]
    checked = sum(c.checked for c in checks)
    off, apart = max(c.worst_sum for c in checks), max(c.worst_loss for c in checks)
    power = (
        f"All {checked} distributions of {len(trials)} streams were summed: at most {off:.1e} from 1 (allowed "
        f"{SUM_TOLERANCE:g}). All losses were compared with −log p(target), and with those given where no "
        f"distributions are asked for: at most {apart:.1e} nats apart (allowed {LOSS_TOLERANCE:g}). Nothing of these "
        "streams was left out; other streams were not summed."
    )
    found = next((c.found for c in checks if c.found), None)
    return _result("normalised", trials, found, power, positions=checked)


def _one_pass(trials: list[Trial]) -> ProbeResult:
    passes = sum(t.passes for t in trials)
    power = (
        f"{passes} passes over streams of {trials[0].n} positions, changed and unchanged: each yielded every position "
        "once and in order, and no score changed after it had been given. What an evaluator computes and does not "
        "yield is not seen; where it lets that choose, the other probes see it."
    )
    found = next((t.order for t in trials if t.order), None)
    return _result("one pass", trials, found, power, positions=sum(t.n for t in trials))


# Text with what has gone wrong in byte counts: spaces that lead, follow and repeat, characters of 1 to 4 bytes,
# characters that no vocabulary holds.
SAMPLES = (
    "Plain words, and then some more of them.",
    " a space leads",
    "two  spaces,   three; tab\tand\nnew\n\n lines ",
    "naïve façade – “quoted” … 10 €",
    "Привет, κόσμε, 世界, שלום",
    "🏌️‍♀️ 𝔤𝔬𝔩𝔣 \u2581 ﷽",
    "x" * 300,
)


def byte_exact(subject: Subject) -> ProbeResult:
    """The bytes an evaluator counts for each document against the UTF-8 length of the document, decoded.

    Documents are what lies between two control tokens; of the validation tokens where `subject` has some, else of a
    few sentences that have gone wrong before.
    """
    result = partial(ProbeResult, "byte-exact", subject.name, deterministic=None)
    if subject.byte_counts is None or subject.tokenizer is None:
        lacks = "byte_counts" if subject.byte_counts is None else "tokenizer"
        return result(passed=None, power=f"Not run: the evaluator has no `{lacks}`.")
    sp = spm.SentencePieceProcessor(model_file=str(subject.tokenizer))
    tokens = subject.text
    if tokens is None:
        bos = max(sp.bos_id(), 0)
        ids = [i for text in SAMPLES for i in (bos, *sp.encode(text))]
        tokens = torch.tensor([*ids, bos])
    counted = [0, *torch.as_tensor(subject.byte_counts(tokens)).tolist()]
    ids = tokens.tolist()
    cuts = [i for i, token in enumerate(ids) if sp.is_control(token)]
    spans = list(pairwise(cuts))
    texts = sp.decode([ids[a:b] for a, b in spans]) if spans else []
    found, total = None, 0
    for (a, b), text in zip(spans, texts, strict=True):
        ours, theirs = sum(counted[a + 1 : b + 1]), len(text.encode())
        total += theirs
        if ours != theirs:
            what = f"tokens {a + 1} to {b - 1} count {ours} bytes, their text {text[:40]!r} has {theirs}"
            found = CounterExample(what, a + 1, before=theirs, after=ours)
            break
    if not spans:
        return result(passed=None, power="Not run: no whole document between two control tokens.")
    power = (
        f"{len(spans)} whole documents of {total} bytes were decoded and measured, each by itself; the cut ones at "
        "both ends were left out."
    )
    return result(passed=found is None, power=power, positions=len(ids) - 1, counter_example=found)
