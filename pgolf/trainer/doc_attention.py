"""Documents within rows: attention bounded by them, the loader that reads rows in order, rows to score.

A row is cut into segments: at its start, at every BOS, and every so many tokens counted from the last such start.
Attention is causal within a segment, and positions count from its start, which rotary scores cannot tell from
counting on through the row but for rounding.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from torch import Tensor

from pgolf.trainer.config import BOS, Config
from pgolf.trainer.data import DataError, Loader, open_shard, shards
from pgolf.trainer.primitives import Rope, causal_attention

try:
    from flash_attn_interface import flash_attn_varlen_func
except ImportError:
    flash_attn_varlen_func = None

# Where segments begin is given in tensors of few sizes: the record compiles for 64, 128, 192 and 256, with one size
# there is nothing to compile on the clock.
BUCKET = 256


def segment_bounds(tokens: Tensor, length: int) -> Tensor:
    """Where the segments of at most `length` of a row `[T]` begin, then T up to a whole BUCKET: int32."""
    starts = torch.nonzero((tokens == BOS) | (torch.arange(len(tokens)) == 0)).flatten()
    pieces = -(torch.diff(starts, append=torch.tensor([len(tokens)])) // -length)
    nth = torch.arange(int(pieces.sum())) - (pieces.cumsum(0) - pieces).repeat_interleave(pieces)
    found = starts.repeat_interleave(pieces) + nth * length
    bounds = torch.full((len(found) // BUCKET * BUCKET + BUCKET,), len(tokens), dtype=torch.int32)
    bounds[: len(found)] = found
    return bounds


def segment_rope(cfg: Config, bounds: Tensor, tokens: Tensor) -> Rope:
    """Rotary tables and attention for tokens `[1, T]` within `bounds`. No segment is longer than a training sequence,
    so there is nothing to stretch (`ROPE_YARN` 0)."""
    n, at = cfg.rope_dims, torch.arange(tokens.shape[1], dtype=torch.int32, device=tokens.device)
    place = at - bounds[torch.searchsorted(bounds, at, right=True) - 1]
    frequency = cfg.rope_base ** -(torch.arange(0, n, 2, device=tokens.device, dtype=torch.float32) / n)
    angle = place.float()[:, None, None] * frequency
    return angle.cos(), angle.sin(), partial(attend_within, bounds, max(cfg.train_seq_len, cfg.eval_seq_len))


def attend_within(bounds: Tensor, longest: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention within each segment of one row: q `[1, T, H, E]`, k and v `[1, T, K, E]`."""
    if not q.is_cuda or q.dtype != torch.bfloat16:
        return one_by_one(bounds, q, k, v)
    args = q[0], k[0], v[0], bounds, bounds, longest, longest
    if flash_attn_varlen_func:
        y = flash_attn_varlen_func(*args, causal=True)
    else:  # what torch.nn.attention.varlen calls, whose own arguments change from one release to the next
        y = torch.ops.aten._flash_attention_forward(*args, 0.0, True, False)
    return (y[0] if isinstance(y, tuple) else y)[None]


@torch.compiler.disable  # type: ignore[untyped-decorator]
def one_by_one(bounds: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    sizes = [n for n in bounds.diff(prepend=bounds.new_zeros(1)).tolist() if n]
    segments = zip(*(x.split(sizes, 1) for x in (q, k, v)), strict=True)
    return torch.cat([causal_attention(*segment) for segment in segments], 1)


class RowLoader(Loader):
    """Rows for one rank, the next one read ahead: inputs and targets, int64 `[1, T]`, and bounds.

    Files in name order, all ranks in the same one, from its first BOS on; ranks take T + 1 tokens each, side by side.
    Text too short for all ranks is dropped; after the last file comes the first. Nothing is random.
    """

    def __init__(self, cfg: Config, rank: int, world: int, length: int, device: torch.device):
        self.cfg, self.rank, self.world, self.length, self.device = cfg, rank, world, length, device
        self.files = [open_shard(path) for path in shards(cfg, "train")]
        self.rows = self._rows()
        self.pool, self.ahead = ThreadPoolExecutor(1), None

    def _rows(self) -> Iterator[tuple[np.ndarray, int]]:
        """The file and where this rank's row begins in it, again and again."""
        step = self.world * (self.length + 1)
        while True:
            found = False
            for tokens in self.files:
                first = int(np.argmax(tokens == BOS))  # 0 where there is none
                for at in range(first, len(tokens) - step + 1, step):
                    found = True
                    yield tokens, at + self.rank * (self.length + 1)
            if not found:
                raise DataError(
                    f"{self.cfg.datasets_dir}: no training file holds {self.world} rows of {self.length + 1} tokens"
                )

    def draw(self) -> tuple[np.ndarray, int]:  # type: ignore[override]  # `_read` is its only reader
        return next(self.rows)

    def _read(self) -> tuple[Tensor, ...]:
        tokens, at = self.draw()
        row = torch.from_numpy(tokens[at : at + self.length + 1].astype(np.int64))
        if row.max() >= self.cfg.vocab_size:
            raise DataError(f"training token {row.max()} does not fit VOCAB_SIZE {self.cfg.vocab_size}")
        bounds = segment_bounds(row[:-1], self.cfg.train_seq_len)
        if self.device.type == "cuda":
            row, bounds = (t.pin_memory().to(self.device, non_blocking=True) for t in (row, bounds))
        return row[None, :-1], row[None, 1:], bounds


def rows(cfg: Config, tokens: Tensor, share: Callable[[int], range]) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Rows of VAL_BATCH_TOKENS / 8 inputs side by side to score, those that `share` gives of so many: first input,
    tokens `[T + 1]`, bounds.

    The record drops each rank's last row if it is short; here it is scored: every token counts.
    """
    total, size = len(tokens) - 1, max(1, cfg.val_batch_tokens // 8)
    for i in share(-(-total // size)):
        row = tokens[i * size : min((i + 1) * size, total) + 1]
        yield i * size, row, segment_bounds(row[:-1], cfg.eval_seq_len)
