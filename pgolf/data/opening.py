"""Tokenizers and shards that may be a stranger's, opened within bounds; what they hold is checked by whoever asks."""

import os
from pathlib import Path

import numpy as np
import sentencepiece
from torch import Tensor

from pgolf.trainer.config import Config
from pgolf.trainer.data import DataError, open_shard, shards
from pgolf.trainer.token_bytes import TokenBytes
from pgolf.untrusted import Untrusted, open_regular, read_bytes

MOST_TOKENIZER = 16 << 20  # bytes of a model; one of 65,536 pieces has 2 MB
MOST_PIECES = 1 << 16  # a token has 16 bits
MOST_PIECE = 1 << 10  # bytes of text that one token stands for
MOST_SHARD = 1 << 28  # tokens in one file; the public ones have 100 million
MOST_VALIDATION = 1 << 27  # tokens in the validation split; the public one has 62 million
MOST_MEAN = 64  # bytes of text that a token of a split stands for on average; the public ones have 2.4 to 5


def open_tokenizer(path: Path) -> sentencepiece.SentencePieceProcessor:
    """A SentencePiece model whose pieces can be shown and decoded; Untrusted for anything else."""
    content = read_bytes(path, MOST_TOKENIZER)
    if not content:
        raise Untrusted(f"{path}: not a SentencePiece model: empty; get or train it anew")
    try:
        model = sentencepiece.SentencePieceProcessor(model_proto=content)
        count = model.vocab_size()
        longest = max((len(model.id_to_piece(i).encode()) for i in range(min(count, MOST_PIECES))), default=0)
        longest = max(longest, len(model.decode([model.unk_id()]).encode()))
    except (RuntimeError, ValueError, LookupError, TypeError, MemoryError) as e:  # a UnicodeError is a ValueError
        raise Untrusted(f"{path}: not a SentencePiece model: {e}; get or train it anew") from None
    if not 0 < count <= MOST_PIECES or longest > MOST_PIECE:
        raise Untrusted(
            f"{path}: {count:,} pieces, one of {longest:,} bytes; a tokenizer has up to {MOST_PIECES:,} of up to "
            f"{MOST_PIECE:,}"
        )
    return model


def open_tokens(path: Path) -> np.ndarray:
    """The tokens of a shard, as `pgolf.trainer.data.open_shard`; Untrusted for no regular file, or one of over
    MOST_SHARD tokens, DataError for one that is no shard."""
    with open_regular(path) as f:
        size = os.fstat(f.fileno()).st_size
    if size > 2 * MOST_SHARD + 4096:
        raise Untrusted(f"{path}: {size:,} bytes; a shard of over {MOST_SHARD:,} tokens is not read")
    return open_shard(path)


def check_validation(cfg: Config) -> None:
    """Untrusted or DataError unless each validation shard can be opened, and all together can be held."""
    total = sum(len(open_tokens(path)) for path in shards(cfg, "val"))
    if total > MOST_VALIDATION:
        raise Untrusted(f"{cfg.datasets_dir}: {total:,} validation tokens; over {MOST_VALIDATION:,} are not read")


def count_bytes(counter: TokenBytes, tokens: Tensor) -> int:
    """Bytes of text that int64 `[n]` tokens stand for, compared with the decoded text; DataError if they differ, or if
    the text would be far longer than any text of as many tokens."""
    counted = int(counter.count(tokens).sum())
    if counted > MOST_MEAN * len(tokens):
        raise DataError(f"{len(tokens):,} tokens stand for {counted:,} bytes: over {MOST_MEAN} each, which no text has")
    return counter.check(tokens)[0]
