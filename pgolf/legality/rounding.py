"""Tell rounding from information, where a change moves earlier scores by little.

A batch of another shape rounds otherwise. Where documents begin in the text to come may decide that shape: so a change
that moves a score is tried again with documents that begin where they did. If nothing moves then, only the documents'
beginnings were seen, and the move must have the size that this evaluator's rounding has. Rounding also favours no
token: an evaluator that knows x_t gives more to it, time after time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, median, stdev

from pgolf.data.opening import open_tokenizer
from pgolf.evidence.probes import CounterExample
from pgolf.legality.compare import ROUNDING, Difference
from pgolf.legality.subject import Subject
from pgolf.legality.watch import Watched

COARSEST = 0.1  # nats: no rounding is taken to be coarser (bfloat16 has steps of 0.06 to 0.13 at logits of 8 to 31)
SPREAD = 16  # the largest of many roundings is no more than so many times their median
FINE, STEP = 1e-5, 5e-3  # nats: where half of all roundings are coarser than FINE, one may be as large as STEP: one
# logit of bfloat16 moves by a step, and all others by little
FEWEST, SURE = 8, 5  # token changes, and standard errors, that tell a gain from rounding


def marks_of(subject: Subject) -> frozenset[int]:
    """Tokens that may begin or end documents: the evaluator's own, the tokenizer's, those of streams and shards."""
    marks = {0, 1, 2, subject.vocab_size - 1} if subject.vocab_size > 16 else {1}
    if subject.document_start is not None:
        marks.add(subject.document_start)
    if subject.text is not None and len(subject.text):
        marks.add(int(subject.text[0]))
    if subject.tokenizer is not None:
        sp = open_tokenizer(subject.tokenizer)
        marks.update(i for i in range(sp.get_piece_size()) if sp.is_control(i))
    return frozenset(marks)


@dataclass
class Rounding:
    """All small moves of one stream's passes."""

    by_documents: list[Difference] = field(default_factory=list)  # gone once documents begin where they did
    by_content: list[Difference] = field(default_factory=list)  # at most ROUNDING, and documents begin where they did
    gains: list[float] = field(default_factory=list)  # nats by which a token is favoured where it is the next one

    def compare_tokens(self, ref: Watched, seen: Watched, t: int, token: int, other: int) -> None:
        """Note how much more each of both tokens gets at t where it is what comes."""
        if t in ref.rows and t in seen.rows:
            apart = ref.rows[t].double() - seen.rows[t].double()
            gain = float(apart[token] - apart[other])
            if gain and math.isfinite(gain):
                self.gains.append(gain)

    @property
    def allowed(self) -> float:
        """Nats by which scores may move with the documents' beginnings."""
        typical = median([d.typical for d in self.by_documents]) if self.by_documents else 0.0
        return min(COARSEST, max(STEP if typical > FINE else ROUNDING, SPREAD * typical))

    def example(self) -> CounterExample | None:
        """A move that is no rounding."""
        for found in self.by_documents:
            if found.size > self.allowed:
                what = (
                    f"{found.example.what}, and does not where documents begin at the same places: what is to come "
                    f"moves it by {found.size:.2g} nats, rounding by {self.allowed:.2g} at most"
                )
                return replace(found.example, what=what)
        return None

    def favoured(self, seed: int) -> CounterExample | None:
        """Small moves that favour the token to come, again and again."""
        n = len(self.gains)
        if n < FEWEST or fmean(self.gains) <= SURE * stdev(self.gains) / n**0.5:
            return None
        what = f"in {n} token changes, the token to come gets {fmean(self.gains):.2g} nats more: rounding favours none"
        return CounterExample(what, seed=seed)

    def notes(self) -> list[str]:
        """What moved, and was taken for rounding."""
        notes = []
        if self.by_documents:
            most = _largest(self.by_documents)
            notes.append(
                f"Where documents begin in the text to come moves scores by up to {most:.2g} nats, as the shapes of "
                f"batches do (taken for rounding up to {self.allowed:.2g}); with documents in place, they stay"
            )
        if self.by_content:
            notes.append(
                f"Scores move by up to {_largest(self.by_content):.2g} nats with tokens to come; up to {ROUNDING:g} is "
                f"taken for rounding, and no token gains more by it"
            )
        return notes


def _largest(found: Sequence[Difference]) -> float:
    return max(d.size for d in found)
