"""Short documents in which every piece of a vocabulary occurs: alone, and after pieces that may change its bytes."""

from collections.abc import Iterator
from dataclasses import dataclass

import sentencepiece

# Characters that hold every byte that UTF-8 has, at every length; byte pieces can write each of them.
CHARACTERS = (
    *range(0x800),
    *range(0x800, 0xD800, 0x800),
    *range(0xE000, 0x10000, 0x800),
    *range(0x10000, 0x110000, 0x10000),
)
NEWLINE = 0x0A


@dataclass(frozen=True)
class Written:
    """The tokens of a document, without the control token that begins it; `what` they are and what they come after."""

    what: str
    after: tuple[int, ...]
    tokens: tuple[int, ...]

    @property
    def ids(self) -> list[int]:
        return [*self.after, *self.tokens]


def separator(sp: sentencepiece.SentencePieceProcessor) -> int | None:
    """The control token to put between documents: BOS if it is one, else the first; None if there is none."""
    return next((i for i in (sp.bos_id(), *range(sp.vocab_size())) if i >= 0 and sp.is_control(i)), None)


def written(sp: sentencepiece.SentencePieceProcessor, size: int) -> Iterator[Written]:
    """Every piece with an id below `size` that a text can have, and characters as byte pieces write them.

    Each comes at a document's beginning, then after an ordinary piece, after a lone space, and after a byte piece,
    where the vocabulary has these. Unknown and unused pieces stand for no text, and are left out.
    """
    size = min(size, sp.vocab_size())
    bytes_of = {i: byte for byte in range(256) if (i := sp.piece_to_id(f"<0x{byte:02X}>")) < size and sp.is_byte(i)}
    piece_of = {byte: i for i, byte in bytes_of.items()}
    single = [i for i in range(size) if not (sp.is_byte(i) or sp.is_unknown(i) or sp.is_unused(i))]
    characters = [tuple(piece_of.get(b, -1) for b in chr(c).encode()) for c in CHARACTERS]
    units: list[tuple[str, tuple[int, ...]]] = [(f"piece {i} {sp.id_to_piece(i)[:40]!r}", (i,)) for i in single]
    units += [
        (f"the byte pieces {', '.join(map(str, ids))} of {chr(c)!r}", ids)
        for c, ids in zip(CHARACTERS, characters, strict=True)
        if -1 not in ids
    ]
    for after in _contexts(sp, single, piece_of.get(NEWLINE)):
        yield from (Written(what, after, tokens) for what, tokens in units)


def _contexts(
    sp: sentencepiece.SentencePieceProcessor, single: list[int], newline: int | None
) -> Iterator[tuple[int, ...]]:
    yield ()
    ordinary = next((i for i in single if (p := sp.id_to_piece(i)).isascii() and p.isalpha()), None)
    if ordinary is None:
        return
    yield (ordinary,)
    if (space := sp.piece_to_id("▁")) in single:
        yield (ordinary, space)
    if newline is not None:
        yield (ordinary, newline)
