"""CASEOPS_ENABLED: bytes of the text before its case was transformed, a side-car's number for each validation token.

The tokens are of the transformed text, whose own bytes would flatter: operators count nothing, and whitespace that the
tokenizer's normaliser folds counts in full. `fineweb_val_bytes_*.bin` lies beside `fineweb_val_*.bin`.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pgolf.trainer.config import Config
from pgolf.trainer.data import DataError, open_shard, shards
from pgolf.trainer.token_bytes import TokenBytes

OPERATORS = "\ue001\ue002\ue003\ue004"


def side_cars(cfg: Config) -> list[Path]:
    """Where the side-cars of the validation shards belong."""
    return [path.with_name(path.name.replace("_val_", "_val_bytes_")) for path in shards(cfg, "val")]


class SideCar(TokenBytes):
    """Counts the validation stream, or its beginning, and nothing else."""

    def __init__(self, cfg: Config):
        super().__init__(cfg)
        parts = []
        for path, shard in zip(side_cars(cfg), shards(cfg, "val"), strict=True):
            if not path.is_file():
                raise DataError(f"{path}: missing, and CaseOps text is measured by it")
            sizes, tokens = open_shard(path), open_shard(shard)
            if len(sizes) != len(tokens):
                raise DataError(f"{path}: bytes of {len(sizes)} tokens, the shard has {len(tokens)}")
            parts.append(sizes.astype(np.int64))
        self.sizes = torch.from_numpy(np.concatenate(parts))
        if any(self.sp.piece_to_id(c) == self.sp.unk_id() for c in OPERATORS):
            raise DataError(f"{cfg.tokenizer_path}: CaseOps' operators are no pieces of it")
        self.pieces = [self.sp.id_to_piece(i) for i in range(cfg.vocab_size)]

    def count(self, tokens: Tensor) -> Tensor:
        if len(tokens) > len(self.sizes):
            raise DataError(f"{len(tokens)} tokens, the side-cars have {len(self.sizes)}")
        return self.sizes[1 : len(tokens)]

    def check(self, tokens: Tensor) -> tuple[int, int]:
        """(counted, counted) bytes; DataError if the numbers cannot be of these tokens.

        A token without a space in it stands for its own characters, an operator for none; a hundredth of those bytes
        is for what the normaliser makes of rare characters. Spaces may be any number: they were folded.
        """
        spaceless = torch.tensor(["▁" not in piece for piece in self.pieces])
        own = torch.where(torch.tensor([piece in OPERATORS for piece in self.pieces]), 0, self.table[0])
        sizes, seen = self.count(tokens), tokens[1:]
        counted, expected = (int(x[spaceless[seen]].sum()) for x in (sizes, own[seen]))
        starts = int(sizes[self.boundary[seen]].sum())
        if abs(counted - expected) > 0.01 * expected + 4 or starts:
            raise DataError(
                f"bits per byte would be wrong: side-cars give {counted} bytes to tokens without spaces, which have "
                f"{expected}, and {starts} to control tokens"
            )
        return int(sizes.sum()), int(sizes.sum())
