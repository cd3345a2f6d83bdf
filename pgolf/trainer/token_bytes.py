"""How many bytes of text each token stands for: the denominator of bits per byte.

0 for control, unknown and unused tokens; 1 for a byte piece; else the UTF-8 length of the piece without its leading
`▁`, plus 1 for that `▁` when the previous token is no boundary (control, unknown, unused). The sum is checked
against the decoded text once, when a split is loaded.
"""

from itertools import pairwise
from pathlib import Path

import sentencepiece as spm
import torch

from pgolf.trainer.config import Config
from pgolf.trainer.data import DataError


class TokenBytes:
    """Byte lengths of a tokenizer's pieces. `table` is int64 `[2, vocab]`: bytes after a boundary, and else."""

    def __init__(self, cfg: Config):
        path = Path(cfg.tokenizer_path)
        if not path.is_file():
            raise DataError(f"no tokenizer at {path}: set TOKENIZER_PATH or DATA_DIR")
        self.sp = sp = spm.SentencePieceProcessor(model_file=str(path))
        if sp.vocab_size() != cfg.vocab_size:
            raise DataError(f"{path}: {sp.vocab_size()} pieces, VOCAB_SIZE is {cfg.vocab_size}")
        if sp.piece_to_id("▁") == sp.unk_id():
            raise DataError(f"{path}: the vocabulary lacks '▁' as a piece, so spaces cannot be counted")
        self.table = torch.zeros(2, cfg.vocab_size, dtype=torch.int64)
        self.boundary = torch.zeros(cfg.vocab_size, dtype=torch.bool)
        for i in range(cfg.vocab_size):
            if sp.is_control(i) or sp.is_unknown(i) or sp.is_unused(i):
                self.boundary[i] = True
            elif sp.is_byte(i):
                self.table[:, i] = 1
            else:
                piece = sp.id_to_piece(i)
                text = piece.removeprefix("▁")
                self.table[:, i] = len(text.encode())
                self.table[1, i] += piece != text

    def count(self, tokens: torch.Tensor) -> torch.Tensor:
        """Bytes of each scored token: int64 `[n]` tokens to int64 `[n − 1]`."""
        inside = (~self.boundary[tokens[:-1]]).long()
        return self.table[inside, tokens[1:]]

    def decoded(self, tokens: torch.Tensor) -> int:
        """UTF-8 length of the text that the scored tokens decode to, document by document."""
        ids = tokens.tolist()
        cuts = [0, *(torch.nonzero(self.boundary[tokens]).flatten().tolist()), len(ids)]
        documents = [ids[a:b] for a, b in pairwise(cuts) if b > a]
        total = sum(len(text.encode()) for text in self.sp.decode(documents, num_threads=8))
        return total - len(self.sp.decode(ids[:1]).encode())

    def check(self, tokens: torch.Tensor) -> tuple[int, int]:
        """(counted, decoded) bytes of a split; DataError if they differ by more than a cut character can explain."""
        counted, decoded = int(self.count(tokens).sum()), self.decoded(tokens)
        if abs(counted - decoded) > 4:
            raise DataError(
                f"bits per byte would be wrong: the tokens count {counted} bytes, their text has {decoded}; "
                "a '▁' inside a piece, unknown tokens, or bytes that are no UTF-8"
            )
        return counted, decoded
