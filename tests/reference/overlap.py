"""Which documents are nearly in the training text: every window of letters of every document, in lists and counters."""

import hashlib
from collections import Counter
from collections.abc import Sequence

import sentencepiece as spm

WIDTH, SHORT, MOST, NEAR = 32, 100, 64, 1 / 3
OPERATORS = "\ue001\ue002\ue003\ue004"
BITS = 1 << 64
RANDOM = hashlib.shake_128(b"pgolf windows").digest(256 * 8)


def letters_of(sp: spm.SentencePieceProcessor, tokens: Sequence[int]) -> bytes:
    """Byte by byte: ASCII letters in lower case, digits, and what is not ASCII."""
    kept = bytearray()
    for token in tokens:
        if sp.is_control(token) or sp.is_unknown(token) or sp.is_unused(token):
            continue
        if sp.is_byte(token):
            text = bytes.fromhex(sp.id_to_piece(token)[3:5])
        else:
            text = "".join(c for c in sp.id_to_piece(token) if c not in "▁" + OPERATORS).encode()
        for byte in text:
            if byte >= 128 or chr(byte).isalnum():
                kept += bytes([byte]).lower()
    return bytes(kept)


def windows(letters: bytes) -> list[bytes]:
    return [letters[i : i + WIDTH] for i in range(len(letters) - WIDTH + 1)]


def hash_of(window: bytes) -> int:
    value = 0
    for byte in window:
        value = (value * 0x9E3779B97F4A7C15 + int.from_bytes(RANDOM[8 * byte : 8 * byte + 8], "little")) % BITS
    value ^= value >> 32
    value = value * 0xBF58476D1CE4E5B9 % BITS
    return value ^ value >> 29


def split(shard: Sequence[int], bos: int) -> list[list[int]]:
    found: list[list[int]] = []
    for token in shard:
        if token == bos or not found:
            found.append([])
        found[-1].append(token)
    return found


def near(
    documents: Sequence[Sequence[int]], train: Sequence[Sequence[int]], sp: spm.SentencePieceProcessor, own: bool
) -> list[bool]:
    """Which documents are nearly in the training shards, or, if they are training documents (`own`), in the rest."""
    streams = Counter(w for shard in train for w in windows(letters_of(sp, shard)))
    wholes = Counter(letters_of(sp, d) for shard in train for d in split(shard, sp.bos_id()))
    result = []
    for document in documents:
        letters = letters_of(sp, document)
        if len(letters) < SHORT:
            result.append(bool(letters) and wholes[letters] > own)
            continue
        mine = Counter(windows(letters))
        sampled = sorted(hash_of(w) for w in mine if hash_of(w) < BITS // 4)[:MOST]
        by_hash = {hash_of(w): w for w in mine}
        there = [streams[by_hash[h]] > own * mine[by_hash[h]] for h in sampled]
        result.append(bool(there) and sum(there) / len(there) >= NEAR)
    return result
