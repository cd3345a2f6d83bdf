"""The fifth probe: does an evaluator count the bytes of the text?"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np
import sentencepiece
import torch
from torch import Tensor

from pgolf.data.caseops import OPERATORS, count_bytes, is_caseops
from pgolf.data.opening import open_tokenizer
from pgolf.errors import RunFailed
from pgolf.evidence.probes import CounterExample, ProbeResult
from pgolf.legality.subject import Subject
from pgolf.legality.vocabulary import separator, written

# Text that byte counts have got wrong: spaces that lead, follow and repeat, characters of 1 to 4 bytes, and characters
# that no vocabulary holds.
SAMPLES = (
    "Plain words, and then some more of them.",
    " a space leads",
    "two  spaces,   three; tab\tand\nnew\n\n lines ",
    "naïve façade – “quoted” … 10 €",
    "Привет, κόσμε, 世界, שלום",
    "🏌️‍♀️ 𝔤𝔬𝔩𝔣 \u2581 ﷽",
    "x" * 300,
)
SAID = 5  # other pieces that a counter-example names


def byte_exact(subject: Subject) -> ProbeResult:
    """Compare the bytes that an evaluator counts with the UTF-8 length of the decoded text, document by document.

    A document is the tokens between two control tokens. There are those of `subject.text`, or of SAMPLES if `subject`
    has no text; and short ones in which every piece of the vocabulary occurs, at the beginning and after others.
    """
    result = partial(ProbeResult, "byte-exact", subject.name, deterministic=None)
    if subject.byte_counts is None or subject.tokenizer is None:
        lacks = "byte_counts" if subject.byte_counts is None else "tokenizer"
        return result(passed=None, power=f"Not run: the evaluator has no `{lacks}`.")
    sp = open_tokenizer(subject.tokenizer)
    measure = _original if is_caseops(sp) else _utf8
    between = separator(sp)
    if between is None:
        return result(passed=None, power="Not run: the tokenizer has no control token, so nothing separates documents.")
    of_pieces, said, notes, tried = _vocabulary(sp, between, subject.byte_counts, subject.vocab_size, measure)
    of_text, more, positions = _documents(sp, between, subject.byte_counts, subject.text, measure)
    found = of_pieces or of_text
    if measure is _original:
        notes += ("its text is transformed by CaseOps: operators stand for no bytes; folded spaces are in no token",)
    return result(
        passed=found is None,
        power=f"{said} {more}",
        positions=tried + positions,
        counter_example=found,
        notes=notes,
    )


def _utf8(text: str) -> int:
    return len(text.encode())


def _original(text: str) -> int:
    """Bytes of the text that CaseOps made `text` of."""
    plain = not any(operator in text for operator in OPERATORS)
    return _utf8(text) if plain else int(count_bytes(text, np.array([[0, len(text)]]))[0])


def counted(byte_counts: Callable[[Tensor], Tensor], tokens: Tensor) -> list[float]:
    """What an evaluator counts for each token of a stream: `[n + 1]`, the first one 0; RunFailed for another length."""
    sizes = torch.as_tensor(byte_counts(tokens)).flatten().tolist()
    if len(sizes) != len(tokens) - 1:
        raise RunFailed(f"byte_counts gives {len(sizes)} numbers for {len(tokens) - 1} targets")
    return [0, *sizes]


def _vocabulary(
    sp: sentencepiece.SentencePieceProcessor,
    between: int,
    byte_counts: Callable[[Tensor], Tensor],
    size: int,
    measure: Callable[[str], int],
) -> tuple[CounterExample | None, str, tuple[str, ...], int]:
    """(an example, a sentence on what was tried, notes, positions) of documents that hold every piece."""
    units = list(written(sp, size))
    ids = [i for unit in units for i in (between, *unit.ids)]
    sizes = iter(counted(byte_counts, torch.tensor(ids)))
    starts, sums = zip(*((next(sizes), sum(next(sizes) for _ in unit.ids)) for unit in units), strict=True)
    before = {after: measure(sp.decode(list(after))) for after in {unit.after for unit in units}}
    lengths = [measure(text) for text in sp.decode([unit.ids for unit in units], num_threads=2)]
    wrong = [(u, given, length) for u, given, length in zip(units, sums, lengths, strict=True) if given != length]
    example = None
    if wrong:
        unit, given, length = wrong[0]
        where = f"after {sp.decode(list(unit.after))!r}" if unit.after else "at a document's beginning"
        others = list(dict.fromkeys(u.what for u, _, _ in wrong if u.what != unit.what))
        more = f"; wrong are, too: {', '.join(others[:SAID])}" if others else ""
        more += f" and {len(others) - SAID:,} more" if len(others) > SAID else ""
        base = before[unit.after]
        what = f"{unit.what}: {given - base:g} bytes are counted {where}, its text has {length - base}{more}"
        example = CounterExample(what, before=length, after=given)
    elif any(starts):
        at = next(i for i, given in enumerate(starts) if given)
        what = f"{starts[at]:g} bytes are counted for the control token {between} after {units[at - 1].what}"
        example = CounterExample(what, before=0, after=starts[at])
    pieces = len({unit.tokens for unit in units})
    said = f"All {pieces:,} pieces and characters of the vocabulary were decoded, each in {len(before)} places."
    return example, said, _notes(sp, between, byte_counts, size), len(ids) - 1


def _notes(
    sp: sentencepiece.SentencePieceProcessor, between: int, byte_counts: Callable[[Tensor], Tensor], size: int
) -> tuple[str, ...]:
    """On pieces that stand for no text: bytes that are counted for them are wrong only if a text has them."""
    none = [i for i in range(min(size, sp.vocab_size())) if sp.is_unknown(i) or sp.is_unused(i)]
    if not none:
        return ()
    sizes = counted(byte_counts, torch.tensor([between, *(i for piece in none for i in (piece, between))]))[1::2]
    return tuple(
        f"piece {i} {sp.id_to_piece(i)[:40]!r}, which stands for no text, counts {n:g} bytes"
        for i, n in zip(none, sizes, strict=True)
        if n
    )[:SAID]


def _documents(
    sp: sentencepiece.SentencePieceProcessor,
    between: int,
    byte_counts: Callable[[Tensor], Tensor],
    text: Tensor | None,
    measure: Callable[[str], int],
) -> tuple[CounterExample | None, str, int]:
    """(an example, a sentence on what was tried, positions) of whole documents of a text, or of SAMPLES."""
    tokens = text
    if tokens is None:
        tokens = torch.tensor([*(i for sample in SAMPLES for i in (between, *sp.encode(sample))), between])
    ids, sizes = tokens.tolist(), counted(byte_counts, tokens)
    spans = list(pairwise(i for i, token in enumerate(ids) if sp.is_control(token)))
    texts = sp.decode([ids[a:b] for a, b in spans]) if spans else []
    example, total = None, 0
    for (a, b), decoded in zip(spans, texts, strict=True):
        given, length = sum(sizes[a + 1 : b + 1]), measure(decoded)
        total += length
        if given != length:
            what = f"tokens {a + 1} to {b - 1} count {given} bytes, their text {decoded[:40]!r} has {length}"
            example = CounterExample(what, a + 1, before=length, after=given)
            break
    if not spans:
        return None, "Of the text, no document was: no control token is in it, so it has no whole documents.", 0
    said = f"{len(spans):,} whole documents of {total:,} bytes were decoded and measured, each by itself"
    return example, f"{said}; the cut ones at both ends were left out.", len(ids) - 1
