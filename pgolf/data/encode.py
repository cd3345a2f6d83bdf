"""Turn one piece of a corpus into tokens, as a worker of `pgolf data tokenize` does in a process of its own.

Imports nothing heavy: a worker is at work within a second.
"""

import io
import os
import signal
import threading
from dataclasses import dataclass
from itertools import islice
from multiprocessing import parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import sentencepiece

from pgolf.data import caseops
from pgolf.data.corpus import Piece, read
from pgolf.data.documents import document_hash
from pgolf.errors import RunFailed
from pgolf.files import write_atomic

BATCH_BYTES = 1 << 20  # of text handed to SentencePiece at once


@dataclass(frozen=True)
class Encoding:
    """How documents become tokens. `field` holds the text in *.jsonl and *.parquet; `case` is CaseOps before all."""

    tokenizer: Path
    field: str
    case: bool = False


_settings: Encoding
_tokenizer: sentencepiece.SentencePieceProcessor


def start_worker(settings: Encoding) -> None:
    """Load the tokenizer; leave Ctrl-C to the parent, and exit when it is gone."""
    global _settings, _tokenizer
    _settings = settings
    _tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(settings.tokenizer))
    if parent := parent_process():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=_exit_after, args=(parent,), daemon=True).start()


def _exit_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def encode_piece(piece: Piece, part: Path) -> int:
    """Write a piece's documents to `part`; return their number. Empty ones are left out, and counted in `empty`.

    `part` is an npz: `tokens` uint16 `[tokens]`, each document BOS and its pieces; `lengths` int64 `[documents]` in
    tokens; `hashes` `[documents, 16]`; `text_bytes` int64 `[documents]` in UTF-8; `empty` int64 `[]`.
    """
    tokens: list[np.ndarray] = []
    text_bytes: list[int] = []
    batch: list[str] = []
    empty = held = 0

    def flush() -> None:
        encoded = _tokenizer.encode(batch, return_type="numpy", add_bos=True, num_threads=1)
        tokens.extend(ids.astype(np.uint16) for ids in encoded)
        batch.clear()

    for text in read(piece, _settings.field):
        if not text:
            empty += 1
            continue
        batch.append(caseops.encode(text) if _settings.case else text)
        text_bytes.append(len(text.encode()))
        held += text_bytes[-1]
        if held > BATCH_BYTES:
            flush()
            held = 0
    flush()
    content = io.BytesIO()
    np.savez(
        content,
        tokens=np.concatenate([*tokens, np.zeros(0, np.uint16)]),
        lengths=np.array([len(t) for t in tokens], dtype=np.int64),
        hashes=np.frombuffer(b"".join(map(document_hash, tokens)), dtype=np.uint8).reshape(-1, 16),
        text_bytes=np.array(text_bytes, dtype=np.int64),
        empty=np.int64(empty),
    )
    write_atomic(part, content.getvalue())
    return len(tokens)


def measure_piece(piece: Piece, documents: int, side_car: Path) -> int:
    """Write the bytes that each token of a piece's first `documents` stands for: npy, uint16 `[tokens]`.

    Bytes are of the original text, tokens of the transformed one. RunFailed if a token stands for 65,536 bytes or more.
    """
    sizes: list[np.ndarray] = []
    for text in islice((t for t in read(piece, _settings.field) if t), documents):
        coded = caseops.encode(text)
        offsets = np.array(_tokenizer.encode(coded, return_type="offset_mapping")["offsets"], dtype=np.int64)
        sizes += np.zeros(1, np.int64), caseops.count_bytes(coded, offsets.reshape(-1, 2))  # a BOS has none
    measured = np.concatenate([*sizes, np.zeros(0, np.int64)])
    if measured.max(initial=0) >= 1 << 16:
        raise RunFailed(f"{piece.paths[0]}: a token stands for {measured.max()} bytes, and a side-car holds uint16")
    content = io.BytesIO()
    np.save(content, measured.astype(np.uint16))
    write_atomic(side_car, content.getvalue())
    return len(measured)
