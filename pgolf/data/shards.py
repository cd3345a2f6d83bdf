"""Writing shard files, in the layout that `pgolf.trainer.data.open_shard` reads."""

from pathlib import Path

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
