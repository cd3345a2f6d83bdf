"""Causal attention within a band: over the last so many positions, the query's own among them."""

import torch
import torch.nn.functional as F
from torch import Tensor

from pgolf.trainer.primitives import factor, flash_attn_func  # type: ignore[attr-defined]

QUERIES = 128  # at a time, so that only keys are read that one of them may see


def banded_attention(window: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """`causal_attention` over the last `window` positions."""
    if flash_attn_func and q.is_cuda and q.dtype == torch.bfloat16:
        y = flash_attn_func(q, k, v, causal=True, window_size=(window - 1, 0))
        return y[0] if isinstance(y, tuple) else y
    later, parts = k.shape[1] - q.shape[1], []
    heads = [factor(x).transpose(1, 2) for x in (q, k, v)]
    for at in range(0, q.shape[1], QUERIES):
        n = min(QUERIES, q.shape[1] - at)
        end = later + at + n
        start = max(0, end - n - window + 1)
        above = end - start - n  # keys before the first query's own
        mask = torch.ones(n, end - start, dtype=torch.bool, device=q.device).tril(above).triu(above - window + 1)
        rows, seen = slice(at, at + n), slice(start, end)
        blocks = heads[0][:, :, rows], heads[1][:, :, seen], heads[2][:, :, seen]
        parts.append(F.scaled_dot_product_attention(*blocks, mask, enable_gqa=True))
    return torch.cat(parts, 2).transpose(1, 2).to(q.dtype)
