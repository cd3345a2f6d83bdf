"""Find the documents inside shards, and check that both splits are disjoint.

A document is a BOS and the tokens up to the next one. In the wild, 15 of 34 submissions of one kind trained on 40,000
of the 50,000 validation documents, because the default of a script was another number: so the splits are compared
whenever a dataset is made or opened.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from pgolf.errors import BadInput

MOST_DOCUMENT = 1 << 20  # tokens of a document, on average over a split: a long book has a fifth of it


def check_boundaries(paths: Sequence[Path], tokens: Sequence[np.ndarray], start: int, name: str) -> None:
    """BadInput if the shards of a split, uint16 `[n]` each, do not show where their documents begin.

    Without that all is one document: no validation document could be found in the training text, attention would not
    end with a document, nor adaptation begin anew. `start` is the token that begins one, `name` what it is called.
    """
    total, found = sum(map(len, tokens)), sum(int(np.count_nonzero(t == start)) for t in tokens)
    if total > MOST_DOCUMENT * found:
        has = f"only {found:,} of {total:,} tokens are" if found else f"none of {total:,} tokens is"
        raise BadInput(
            f"{paths[0]}{' and the shards after it' if len(paths) > 1 else ''}: {has} {name}, which begins a document; "
            "make the shards anew with it before every document, as `pgolf data tokenize` does, or name the token that "
            "begins their documents: `pgolf data document-start FOLDER TOKEN`"
        )


def document_hash(tokens: np.ndarray) -> bytes:
    """16 bytes that stand for a document's tokens (uint16, BOS included)."""
    return hashlib.blake2b(tokens.tobytes(), digest_size=16).digest()


def documents(shards: Iterable[np.ndarray], bos: int) -> Iterator[np.ndarray]:
    """The documents of consecutive shards, uint16 `[length]` each; a document that a shard's end cuts comes whole."""
    cut: list[np.ndarray] = []
    for tokens in shards:
        starts = np.flatnonzero(tokens == bos).tolist()
        if not starts:
            cut.append(tokens)
            continue
        if starts[0]:
            cut.append(tokens[: starts[0]])
        if cut:
            yield np.concatenate(cut)
        for a, b in pairwise(starts):
            yield tokens[a:b]
        cut = [tokens[starts[-1] :]]
    if cut:
        yield np.concatenate(cut)


def find_shared(val: Iterable[np.ndarray], train: Iterable[np.ndarray], bos: int) -> np.ndarray:
    """Which validation documents are among the training documents, token for token, from both splits' shards: bool
    `[validation documents]`."""
    wanted = [document_hash(d) for d in documents(val, bos)]
    missing = set(wanted)
    for document in documents(train, bos):
        missing.discard(document_hash(document))
        if not missing:
            break
    return np.array([h not in missing for h in wanted], dtype=bool)
