"""What blocks, mechanisms and the head are made of: norm, matrices, rotary positions, causal attention.

B sequences, T tokens, D model_dim, H query heads, K key/value heads, E head size, V vocabulary. Matrices are stored
in float32 and used in the compute dtype; every cast is written out, so that a new torch changes no number.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pgolf.trainer.config import Config

try:
    from flash_attn_interface import flash_attn_func  # FlashAttention 3, where installed
except ImportError:
    flash_attn_func = None

Rope = tuple[Tensor, Tensor, Callable[[Tensor, Tensor, Tensor], Tensor]]  # cos, sin, and who attends to whom
EPS = torch.finfo(torch.float32).eps
HAS_BF16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()


def norm(x: Tensor) -> Tensor:
    """RMS norm over the last dimension, without weights."""
    return F.rms_norm(x, x.shape[-1:], eps=EPS)


def factor(x: Tensor) -> Tensor:
    """x as products take it: a CPU without bf16 products is many times faster on the same numbers in float32, which is
    what it sums them in either way."""
    return x if x.is_cuda or HAS_BF16 else x.float()


def linear(x: Tensor, *weights: Tensor) -> Tensor:
    """x times the weights, stacked by rows: one product where several matrices read the same input."""
    weight = (torch.cat(weights) if len(weights) > 1 else weights[0]).to(x.dtype)
    return F.linear(factor(x), factor(weight)).to(x.dtype)


class Linear(nn.Linear):
    """A bias-free matrix, used in the dtype of its input."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight)


def rotary_tables(length: int, cfg: Config, device: torch.device) -> tuple[Tensor, Tensor]:
    """cos and sin, float32 `[T, 1, rope_dims/2]`; past the training length the base grows (NTK)."""
    n = cfg.rope_dims
    stretch = max(1.0, length / cfg.rope_train_seq_len)
    base = cfg.rope_base * stretch ** (n / (n - 2))
    frequency = base ** -(torch.arange(0, n, 2, device=device, dtype=torch.float32) / n)
    angle = torch.arange(length, device=device, dtype=torch.float32)[:, None, None] * frequency
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Heads x `[B, T, H, E]`, normed, with rotary positions on their first dims; j pairs with j + rope_dims/2."""
    x, half = norm(x), cos.shape[-1]
    a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return torch.cat([(a * cos + b * sin).to(x.dtype), (b * cos - a * sin).to(x.dtype), rest], dim=-1)


def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """q `[B, t, H, E]` are the last t queries over k, v `[B, T, K, E]`; gives `[B, t, H, E]`."""
    if flash_attn_func and q.is_cuda and q.dtype == torch.bfloat16:
        y = flash_attn_func(q, k, v, causal=True)  # aligned to the end, as here
        return y[0] if isinstance(y, tuple) else y
    t, T = q.shape[1], k.shape[1]
    mask = None if t == T else torch.ones(t, T, dtype=torch.bool, device=q.device).tril(T - t)
    heads = (factor(x).transpose(1, 2) for x in (q, k, v))
    y = F.scaled_dot_product_attention(*heads, mask, is_causal=mask is None, enable_gqa=True)  # type: ignore[call-arg, misc, arg-type]
    return y.transpose(1, 2).to(q.dtype)


def head_gates(source: Tensor, weight: Tensor) -> Tensor:
    """sigmoid of one logit a head, read off the first dims of the source: `[B, T, dims]` to `[B, T, H, 1]`."""
    return linear(source[..., : weight.shape[1]], weight).sigmoid()[..., None]
