"""Writing shard files, in the layout that `pgolf.trainer.data.open_shard` reads."""

import os
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from pgolf.files import write_atomic
from pgolf.trainer.data import HEADER_INTS, MAGIC, VERSION


def write_shard(path: Path, tokens: np.ndarray) -> None:
    """Write `tokens` (1-D, integers in [0, 65536)) to `path`, atomically; ValueError if one does not fit."""
    tokens = np.asarray(tokens)
    if tokens.size and (tokens.min() < 0 or tokens.max() >= 1 << 16):
        raise ValueError(f"{path}: tokens {tokens.min()}..{tokens.max()} do not fit uint16")
    header = np.zeros(HEADER_INTS, dtype="<i4")
    header[:3] = MAGIC, VERSION, tokens.size
    write_atomic(path, header.tobytes() + tokens.astype("<u2").tobytes())


class ShardWriter:
    """Writes a split document by document, cut evenly into `shards` files `fineweb_<split>_<NNNNNN>.bin`.

    `total` is the split's number of tokens. A shard ends with the document that reaches its share, so none is cut.
    Not atomic: write into a folder that is renamed when it is whole.
    """

    def __init__(self, folder: Path, split: str, total: int, shards: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.split, self.total, self.shards = folder, split, total, shards
        self.written = self.number = self.shares = self.count = 0
        self.file: BinaryIO | None = None

    def add(self, document: np.ndarray) -> None:
        """Append a document, uint16 `[tokens]`."""
        if self.file is None:
            self.file = (self.folder / f"fineweb_{self.split}_{self.number:06}.bin").open("wb")
            self.file.write(bytes(4 * HEADER_INTS))
            self.count = 0
        self.file.write(document.astype("<u2").tobytes())
        self.count += len(document)
        self.written += len(document)
        shares = self.shards * self.written // self.total
        if shares > self.shares:
            self.shares = shares
            self._finish()

    def _finish(self) -> None:
        if self.file is None:
            return
        header = np.zeros(HEADER_INTS, dtype="<i4")
        header[:3] = MAGIC, VERSION, self.count
        self.file.seek(0)
        self.file.write(header.tobytes())
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        self.file, self.number = None, self.number + 1

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._finish()
