"""Shards and the order in which training reads them.

A shard is 256 little-endian int32 of header (magic, version, token count), then that many uint16 tokens. Rank r
owns every world-th training file. A file is cut into sequences from a random phase; sequences are drawn without
replacement, a file being chosen with probability proportional to what it has left. As upstream, the generator is
PCG64(rank): one order for every seed, unless DATA_SEED says otherwise.
"""

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from pgolf.trainer.config import Config

HEADER_INTS, MAGIC, VERSION = 256, 20240520, 1


class DataError(Exception):
    """A file, a split or a knob that cannot be used; the message names it and the numbers."""


def open_shard(path: Path) -> np.ndarray:
    """The tokens of one shard as a read-only uint16 memory map, `[token count]`."""
    header = np.fromfile(path, dtype="<i4", count=HEADER_INTS)
    if len(header) < HEADER_INTS:
        raise DataError(f"{path}: {4 * len(header)} bytes are no shard header of {4 * HEADER_INTS}")
    magic, version, count = map(int, header[:3])
    if (magic, version) != (MAGIC, VERSION):
        raise DataError(f"{path}: magic {magic} version {version}, expected {MAGIC} and {VERSION}")
    want, have = 4 * HEADER_INTS + 2 * count, path.stat().st_size
    if want != have:
        raise DataError(f"{path}: header promises {count} tokens ({want} bytes), the file has {have} bytes")
    if count == 0:
        raise DataError(f"{path}: holds no tokens")
    return np.memmap(path, dtype="<u2", mode="r", offset=4 * HEADER_INTS, shape=(count,))


def shards(cfg: Config, split: str) -> list[Path]:
    """The files of a split in name order; byte side-cars, whose names match the same glob, left out."""
    found = sorted(Path(cfg.datasets_dir).glob(f"fineweb_{split}_*.bin"))
    found = [p for p in found if "_bytes_" not in p.name]
    if not found:
        raise DataError(f"no fineweb_{split}_*.bin in {cfg.datasets_dir}: set DATA_DIR or make the dataset first")
    return found


def load_validation(cfg: Config) -> torch.Tensor:
    """All validation tokens, int64 `[n·EVAL_SEQ_LEN + 1]` (uncut where the split is shorter than one sequence)."""
    tokens = np.concatenate([open_shard(p) for p in shards(cfg, "val")])
    whole = (len(tokens) - 1) // cfg.eval_seq_len * cfg.eval_seq_len + 1
    tokens = tokens[:whole] if whole > 1 else tokens
    if len(tokens) < 2:
        raise DataError(f"{cfg.datasets_dir}: a validation split of {len(tokens)} tokens scores nothing")
    if tokens.max() >= cfg.vocab_size:
        raise DataError(
            f"{cfg.datasets_dir}: token {tokens.max()} in the validation split, VOCAB_SIZE is {cfg.vocab_size}"
        )
    return torch.from_numpy(tokens.astype(np.int64))


def tokens_sha256(tokens: torch.Tensor) -> str:
    """SHA-256 of tokens as little-endian uint16: what makes two validation splits the same."""
    return hashlib.sha256(tokens.numpy().astype("<u2").tobytes()).hexdigest()


class Loader:
    """Batches for one rank, the next one read ahead by a thread.

    `next()` gives inputs and targets, int64 `[sequences, TRAIN_SEQ_LEN]`, on the device.
    """

    def __init__(self, cfg: Config, rank: int, world: int, sequences: int, device: torch.device):
        files = shards(cfg, "train")
        if rank >= len(files):
            raise DataError(f"{cfg.datasets_dir}: rank {rank} has no training file, there are {len(files)}")
        self.files = [open_shard(p) for p in files[rank::world]]
        self.length, self.sequences, self.device = cfg.train_seq_len, sequences, device
        if all(len(f) <= self.length for f in self.files):
            raise DataError(f"{cfg.datasets_dir}: no training file of rank {rank} holds {self.length + 1} tokens")
        self.vocab_size = cfg.vocab_size
        # + 1: to numpy [rank, 0] is the same seed as rank
        self.rng = np.random.Generator(np.random.PCG64(rank if cfg.data_seed < 0 else [rank, cfg.data_seed + 1]))
        self._refill()
        self.pool = ThreadPoolExecutor(1)
        self.ahead: Future[tuple[torch.Tensor, ...]] | None = None

    def _refill(self) -> None:
        """Cut every file anew: its sequences' starts, in the order in which they will be drawn."""
        self.starts = []
        for tokens in self.files:
            last_phase = min(self.length - 1, max(0, len(tokens) - self.length - 1))
            phase = int(self.rng.integers(last_phase + 1)) if last_phase else 0
            order = self.rng.permutation((len(tokens) - 1 - phase) // self.length)
            self.starts.append((phase + order * self.length).tolist())

    def draw(self) -> list[tuple[int, int]]:
        """(file, start) of each sequence of the next batch."""
        left = np.array([len(s) for s in self.starts], dtype=np.float64)
        drawn = []
        for _ in range(self.sequences):
            if not left.any():
                self._refill()
                left = np.array([len(s) for s in self.starts], dtype=np.float64)
            file = int(self.rng.choice(len(left), p=left / left.sum()))
            left[file] -= 1
            drawn.append((file, self.starts[file].pop()))
        return drawn

    def _read(self) -> tuple[torch.Tensor, ...]:
        drawn = self.draw()
        rows = np.stack([self.files[f][s : s + self.length + 1] for f, s in drawn]).astype(np.int64)
        if rows.max() >= self.vocab_size:
            raise DataError(f"training token {rows.max()} does not fit VOCAB_SIZE {self.vocab_size}")
        rows = torch.from_numpy(rows)  # type: ignore[assignment]  # from here on a tensor
        if self.device.type == "cuda":
            rows = rows.pin_memory().to(self.device, non_blocking=True)  # type: ignore[attr-defined]
        return rows[:, :-1].contiguous(), rows[:, 1:].contiguous()  # type: ignore[attr-defined]

    def next(self) -> tuple[torch.Tensor, ...]:
        batch = self.ahead.result() if self.ahead else self._read()
        self.ahead = self.pool.submit(self._read)
        return batch

    def skip(self, batches: int) -> None:
        """Advance past batches that an earlier process has trained on; only before the first `next()`."""
        for _ in range(batches):
            self.draw()
