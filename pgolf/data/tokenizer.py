"""Tokenizers: SentencePiece BPE with byte fallback, so that every text has tokens and gives its bytes back."""

import hashlib
import io
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece

from pgolf.data import corpus
from pgolf.data.caseops import OPERATORS, encode
from pgolf.errors import BadInput
from pgolf.files import sha256_file, write_atomic
from pgolf.phrases import counted

SAMPLE_BYTES = 200_000_000  # of text to learn from: SentencePiece holds it in memory several times over
REPORT_BYTES = 20_000_000  # of text that the report is measured on
CASEOPS = {  # so that the operators are ids 4 to 7, as in the public exports
    "pad_id": 0,
    "bos_id": 1,
    "eos_id": 2,
    "unk_id": 3,
    "split_digits": True,
    "add_dummy_prefix": False,
    "normalization_rule_name": "nmt_nfkc",
    "remove_extra_whitespaces": True,
}

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Trained:
    """A tokenizer, and how it does on text: held-out text, unless the corpus had none."""

    path: str
    sha256: str
    vocab_size: int
    trained_on_documents: int
    trained_on_bytes: int
    seconds: float  # of training
    measured_on_documents: int
    measured_on_bytes: int
    held_out: bool
    bytes_per_token: float
    unused_pieces: int  # ordinary pieces that never occur in that text
    byte_tokens: int  # tokens that are single bytes, for want of a piece

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def train_tokenizer(texts: Sequence[str], vocab_size: int, **settings: Any) -> bytes:
    """A SentencePiece BPE model that gives every text back unchanged; BadInput if `texts` are too little.

    `settings` are further settings of SentencePiece's trainer, and override those made here.
    """
    model = io.BytesIO()
    given: dict[str, Any] = {
        "model_type": "bpe",
        "vocab_size": vocab_size,
        "byte_fallback": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,  # code in docstrings is indented
        "max_sentence_length": max(len(text.encode()) for text in texts) + 1,  # longer ones would be skipped
        "num_threads": 1,
        "shuffle_input_sentence": False,
        "minloglevel": 2,
    }
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts), model_writer=model, **(given | settings)
        )
    except RuntimeError as e:
        raise BadInput(f"no vocabulary of {vocab_size} from {len(texts)} documents: {e}") from None
    return model.getvalue()


def train_on_corpus(
    docs: Sequence[str],
    out: Path,
    vocab_size: int,
    *,
    val_docs: int,
    field: str = "text",
    symbols: Sequence[str] = (),
    case: bool = False,
    sample_bytes: int = SAMPLE_BYTES,
    progress: Progress = lambda what, done, total: None,
) -> Trained:
    """Train a tokenizer on the documents after the first `val_docs`, measure it on those, and write it to `out`.

    Parameters
    ----------
    docs : names or glob patterns of *.jsonl, *.parquet and *.txt files, in order.
    vocab_size : pieces, bytes and control tokens included.
    symbols : text that is always a piece of its own.
    case : learn from text transformed by CaseOps, with the settings of the public CaseOps tokenizers (CASEOPS).
    sample_bytes : about how many bytes of the training text to learn from; the choice depends on the text alone.

    Raises
    ------
    BadInput : files that cannot be used, too little text, or a vocabulary without '▁' (no trainer could use it).
    """
    files = corpus.find_files(docs)
    if out.is_dir():  # said before the minutes that training takes
        raise BadInput(f"--out {out}: is a folder; name the file to write, such as {out / f'{vocab_size}.model'}")
    held_out, texts = _sample(files, field, val_docs, sample_bytes, progress)
    progress("training", 0, 1)
    started = time.monotonic()
    reserved = [*(OPERATORS if case else ""), *symbols]
    settings: dict[str, Any] = {"user_defined_symbols": reserved} if reserved else {}
    transform = encode if case else str
    model = train_tokenizer([*map(transform, texts)], vocab_size, **settings, **(CASEOPS if case else {}))
    seconds = time.monotonic() - started
    tokenizer = sentencepiece.SentencePieceProcessor(model_proto=model)
    if tokenizer.piece_to_id("▁") == tokenizer.unk_id():
        raise BadInput(f"{len(texts)} documents give no piece '▁', so spaces could not be counted: more text is needed")
    progress("measuring", 0, 1)
    measured = held_out or texts
    counts = _count(tokenizer, map(transform, measured))
    size = sum(len(text.encode()) for text in measured)
    ordinary = [
        i for i in range(vocab_size) if not (tokenizer.is_control(i) or tokenizer.is_unknown(i) or tokenizer.is_byte(i))
    ]
    write_atomic(out, model)
    return Trained(
        path=str(out),
        sha256=sha256_file(out),
        vocab_size=vocab_size,
        trained_on_documents=len(texts),
        trained_on_bytes=sum(len(t.encode()) for t in texts),
        seconds=round(seconds, 1),
        measured_on_documents=len(measured),
        measured_on_bytes=size,
        held_out=bool(held_out),
        bytes_per_token=size / int(counts.sum()),
        unused_pieces=sum(not counts[i] for i in ordinary),
        byte_tokens=sum(int(counts[i]) for i in range(vocab_size) if tokenizer.is_byte(i)),
    )


def _sample(
    files: Sequence[Path], field: str, val_docs: int, sample_bytes: int, progress: Progress
) -> tuple[list[str], list[str]]:
    """(held-out documents, documents to learn from), the second chosen by their hash to fit `sample_bytes`."""
    pieces = corpus.cut(files)
    share = min(1.0, sample_bytes / max(1, sum(path.stat().st_size for path in files)))
    held_out: list[str] = []
    texts: list[str] = []
    seen = held = 0
    for text in _texts(pieces, field, progress):
        seen += 1
        if seen <= val_docs:
            if held < REPORT_BYTES:
                held_out.append(text)
                held += len(text.encode())
        elif share == 1.0 or _unit(text) < share:
            texts.append(text)
    if not texts:
        raise BadInput(f"{counted(seen, 'document')}: --val-docs {val_docs} leaves none to learn from")
    return held_out, texts


def _texts(pieces: Sequence[corpus.Piece], field: str, progress: Progress) -> Iterator[str]:
    for done, piece in enumerate(pieces):
        progress("reading", done, len(pieces))
        yield from (text for text in corpus.read(piece, field) if text)


def _unit(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") / 2**64


def _count(tokenizer: sentencepiece.SentencePieceProcessor, texts: Iterable[str]) -> np.ndarray:
    """How often each piece occurs in the texts, int64 `[vocab]`."""
    counts = np.zeros(tokenizer.vocab_size(), dtype=np.int64)
    for text in texts:
        counts += np.bincount(tokenizer.encode(text, return_type="numpy"), minlength=len(counts))
    return counts
