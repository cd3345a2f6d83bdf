"""Texts compared by windows of their letters: which windows stand for a document, and which of those a stream has.

**Letters.** Of a text only ASCII letters, in lower case, digits and the bytes of non-ASCII characters count: no white
space, no punctuation, no control token, no operator of CaseOps. Each piece of a vocabulary has its letters, so a
stream's letters come from a table, without decoding, and do not depend on how the text was cut into tokens.

**Windows.** A window is WIDTH successive letters, hashed to 64 bits. Hashes in the lowest quarter are sampled, and of
one document the MOST_SAMPLED lowest of those stand for it. A document of fewer than SHORT letters has too few: all its
letters together are one window, which only a document with those letters has.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import sentencepiece

from pgolf.data.caseops import OPERATORS

WIDTH = 32  # letters, about seven words of English; a power of two
SHORT = 100  # letters
MOST_SAMPLED = 64
SAMPLED = np.uint64(1 << 62)  # hashes below are sampled
BLOCK = 1 << 16  # tokens: what they become nearly fits a processor's cache
MOST_LETTERS = 1 << 22  # of a block, of any vocabulary
FACTOR, MIXER = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)
_UNSEEN = dict.fromkeys(map(ord, f"▁{OPERATORS}"))
_LETTER = np.array([c >= 0x80 or chr(c).isalnum() for c in range(256)])
_LOWER = np.array([ord(chr(c).lower()) if c < 0x80 else c for c in range(256)], dtype=np.uint8)
_RANDOM = np.frombuffer(hashlib.shake_128(b"pgolf windows").digest(256 * 8), dtype="<u8").astype(np.uint64)


class Letters:
    """The letters of each piece of a vocabulary. `bos` begins a document, and has none (default: the tokenizer's BOS);
    `block` tokens are looked at together."""

    def __init__(self, sp: sentencepiece.SentencePieceProcessor, bos: int | None = None) -> None:
        self.bos = sp.bos_id() if bos is None else bos
        pieces = [b"" if i == self.bos else _letters_of_piece(sp, i) for i in range(sp.vocab_size())]
        self.flat = np.frombuffer(b"".join(pieces), dtype=np.uint8)
        self.block = min(BLOCK, MOST_LETTERS // max(1, *map(len, pieces)))
        self.lengths = np.array([len(p) for p in pieces], dtype=np.int32)
        self.starts = (np.cumsum(self.lengths) - self.lengths).astype(np.int32)

    def of(self, tokens: np.ndarray) -> np.ndarray:
        """The letters of uint16 tokens, uint8 `[letters]`."""
        lengths = self.lengths[tokens]
        places = np.repeat(self.starts[tokens] - (np.cumsum(lengths, dtype=np.int32) - lengths), lengths)
        places += np.arange(len(places), dtype=np.int32)
        letters: np.ndarray = self.flat[places]
        return letters


def _letters_of_piece(sp: sentencepiece.SentencePieceProcessor, i: int) -> bytes:
    if sp.is_control(i) or sp.is_unknown(i) or sp.is_unused(i):
        return b""
    piece = sp.id_to_piece(i)
    raw = bytes([int(piece[3:5], 16)]) if sp.is_byte(i) else piece.translate(_UNSEEN).encode()
    found = np.frombuffer(raw, dtype=np.uint8)
    return bytes(_LOWER[found[_LETTER[found]]])


def hash_windows(letters: np.ndarray) -> np.ndarray:
    """The hash of every window of uint8 `[n]` letters: uint64 `[n - WIDTH + 1]`, none for fewer letters than WIDTH."""
    if len(letters) < WIDTH:
        return np.zeros(0, np.uint64)
    hashes: np.ndarray = _RANDOM[letters]
    factor, width = int(FACTOR), 1
    while width < WIDTH:  # windows of twice the width are made of two
        doubled = hashes[:-width] * np.uint64(factor)
        doubled += hashes[width:]
        hashes, factor, width = doubled, factor * factor % (1 << 64), 2 * width
    hashes ^= hashes >> np.uint64(32)
    hashes *= MIXER
    hashes ^= hashes >> np.uint64(29)
    return hashes


def hash_short(letters: np.ndarray) -> int:
    """The hash of all letters of a short document."""
    return int.from_bytes(hashlib.blake2b(letters.tobytes(), digest_size=8).digest(), "little")


def sample(document: np.ndarray, letters: Letters) -> tuple[np.ndarray, np.ndarray]:
    """The windows that stand for a document of uint16 `[tokens]`: (their hashes, uint64 `[n]`, ascending; how often
    each is in it, int64 `[n]`).

    None for a document without a letter.
    """
    kept, often = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    for (start, end), text, hashes in _parts(document, letters):
        if len(text) < SHORT and end - start == len(document):
            short = np.array([hash_short(text)] if len(text) else [], dtype=np.uint64)
            return short, np.ones(len(short), np.int64)
        found, times = np.unique(hashes, return_counts=True)
        both, places = np.unique(np.concatenate([kept, found]), return_inverse=True)
        sums = np.bincount(places, np.concatenate([often, times]), len(both)).astype(np.int64)
        kept, often = both[:MOST_SAMPLED], sums[:MOST_SAMPLED]
    return kept, often


@dataclass(frozen=True)
class Index:
    """Windows that are looked for. `keys` uint64 `[n]`, ascending; `maybe` says of a hash's low bits whether a key has
    them."""

    keys: np.ndarray
    maybe: np.ndarray

    @classmethod
    def of(cls, hashes: np.ndarray) -> "Index":
        keys = np.unique(hashes)
        maybe = np.zeros(1 << min(max(8 * len(keys), 1).bit_length(), 25), dtype=bool)
        maybe[keys & np.uint64(len(maybe) - 1)] = True
        return cls(keys, maybe)

    def find(self, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The keys that are among uint64 hashes: (their places, int64 `[n]`; how often each is there, int64 `[n]`)."""
        low = (hashes & np.uint64(len(self.maybe) - 1)).view(np.int64)
        likely, times = np.unique(hashes[self.maybe[low]], return_counts=True)
        places = np.searchsorted(self.keys, likely)
        places[places == len(self.keys)] = 0
        hit = self.keys[places] == likely if len(self.keys) else np.zeros(0, bool)
        return places[hit], times[hit]


def count(index: Index, tokens: np.ndarray, letters: Letters) -> np.ndarray:
    """How often each key of `index` is in a stream, `tokens` uint16 `[n]`: int64 `[keys]`.

    Windows may lie over the border of two documents. What comes before the first BOS counts as a document.
    """
    found = np.zeros(len(index.keys), np.int64)
    for (start, end), text, hashes in _parts(tokens, letters):
        short = _short_documents(tokens, start, end, text, letters)
        for sought in (hashes, short):
            places, times = index.find(sought)
            found[places] += times
    return found


def _parts(tokens: np.ndarray, letters: Letters) -> Iterator[tuple[tuple[int, int], np.ndarray, np.ndarray]]:
    """((start, end), letters uint8, hashes of the sampled windows that end there, uint64) of each block of a stream."""
    before = np.zeros(0, np.uint8)  # the last letters of the blocks before
    for start, end in blocks(tokens, letters):
        text = letters.of(tokens[start:end])
        joined = np.concatenate([before, text])
        hashes = hash_windows(joined)
        yield (start, end), text, hashes[hashes < SAMPLED]
        before = joined[-(WIDTH - 1) :]


def blocks(tokens: np.ndarray, letters: Letters) -> Iterator[tuple[int, int]]:
    """(start, end) of parts of a stream, one after the other: whole documents, about `letters.block` tokens together,
    and parts of twice as many where a document is longer."""
    start = 0
    while start < len(tokens):
        end = min(start + 2 * letters.block, len(tokens))
        if start + letters.block < len(tokens):
            borders = np.flatnonzero(tokens[start + 1 : end] == letters.bos) + start + 1
            fitting = int(np.searchsorted(borders, start + letters.block, side="right"))
            end = int(borders[max(fitting - 1, 0)]) if len(borders) else end
        yield start, end
        start = end


def _short_documents(tokens: np.ndarray, start: int, end: int, text: np.ndarray, letters: Letters) -> np.ndarray:
    """The hashes of the short documents in a block with these letters, uint64; those that begin and end there."""
    block = tokens[start:end]
    first = np.flatnonzero(block == letters.bos)
    ends = np.cumsum(letters.lengths[block])
    cuts = np.concatenate([[0], ends[first], [len(text)]])
    sizes = np.diff(cuts)
    short = np.flatnonzero((sizes > 0) & (sizes < SHORT)).tolist()
    if start and short[:1] == [0]:
        short.pop(0)  # the rest of a long document
    if end < len(tokens) and tokens[end] != letters.bos and short[-1:] == [len(sizes) - 1]:
        short.pop()
    return np.array([hash_short(text[cuts[i] : cuts[i + 1]]) for i in short], dtype=np.uint64)
