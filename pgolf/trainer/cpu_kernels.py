"""The blocks' passes over activations on a CPU, where nothing is compiled: fewer of them, and gradients by hand.

PyTorch's RMS norm is a dozen passes there, forward and backward, rotary positions another dozen, each over memory. Here
a norm is three: its gradient is that of weight normalisation, which has a kernel, given the norms it is to divide by.
Norms and rotary positions are float32 until they are rounded once; scores of attention, and their gradients, too.
"""

import math
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from pgolf.trainer.banded import QUERIES, banded_attention
from pgolf.trainer.blocks import MLP, Attention, Block
from pgolf.trainer.config import Config
from pgolf.trainer.primitives import EPS, Rope, causal_attention, factor

STEP = 128  # queries in a block
BLOCKWISE_UP_TO = 1024  # sequence in blocks: of a longer one the probabilities leave the caches
weight_norm_backward = torch.ops.aten._weight_norm_interface_backward


def norms(x: Tensor) -> Tensor:
    """√(Σx² + D·EPS) of the last dimension, which x / RMS(x) divides by, times √D."""
    return (torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_() + x.shape[-1] * EPS).sqrt_()


def norm_gradient(g: Tensor, x: Tensor, n: Tensor, gain: Tensor) -> tuple[Tensor, Tensor]:
    """Of gain·x / n(x) for contiguous float32 rows: to x, and to the gain of each row."""
    rows = x.numel() // x.shape[-1]
    flat = (t.reshape(rows, -1).contiguous() for t in (g, x, gain.expand(n.shape), n))
    dx, d_gain = weight_norm_backward(*flat, 0)
    return dx.view(x.shape), d_gain.view(n.shape)


class Norm(Function):
    """scale·x / RMS(x)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float) -> Tensor:
        full = x.float()
        n = norms(full)
        ctx.save_for_backward(x, n)
        ctx.gain = scale * math.sqrt(x.shape[-1])
        return (full * (ctx.gain / n)).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...] | Tensor:
        x, n = ctx.saved_tensors
        dx, _ = norm_gradient(g.float(), x.float(), n, n.new_tensor(ctx.gain))
        return dx.to(x.dtype), None


class Turned(Function):
    """Heads `[B, T, H, E]` normed, times a gain a head, with rotary positions on their first dims."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        full = x.float()
        n = norms(full)
        gain = gain.float()[:, None] * math.sqrt(x.shape[-1])
        ctx.save_for_backward(x, n, gain, cos, sin)
        y = full * (gain / n)
        turn(y, cos, sin)
        return y.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...] | Tensor:
        x, n, gain, cos, sin = ctx.saved_tensors
        g = g.to(torch.float32, memory_format=torch.contiguous_format, copy=True)
        turn(g, cos, -sin)
        dx, d_gain = norm_gradient(g, x.float(), n, gain)
        return dx.to(x.dtype), d_gain.flatten(0, 1).sum(0)[:, 0] * math.sqrt(x.shape[-1]), None, None


def turn(x: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Rotary positions, in place."""
    a, b = x[..., : 2 * cos.shape[-1]].chunk(2, -1)
    first = a * cos
    first.addcmul_(b, sin)
    b.mul_(cos).addcmul_(a, sin, value=-1)
    a.copy_(first)


class Causal(Function):
    """Causal attention, q `[B, T, H, E]` over k, v `[B, T, K, E]`, a block of queries at a time; with a `window` over
    the last so many positions.

    Each block is a few products over the keys that it may see. Its probabilities are kept for the gradient, where
    PyTorch's kernel for CPUs computes them again, in small products.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
        T, E = q.shape[1::2]
        K = k.shape[2]
        q, k, v = by_key_head(q, K), by_key_head(k, K)[:, 0], by_key_head(v, K)[:, 0]
        keys, y = k.float().mT * E**-0.5, torch.empty_like(q)
        later = torch.full((STEP, STEP), -math.inf).triu(1)
        probabilities, ctx.window = [], window
        for i in range(0, T, STEP):
            rows, seen = q[:, :, i : i + STEP], slice(reach(i, window), i + STEP)
            scores = torch.bmm(rows.flatten(1, 2).float(), keys[..., seen])
            by_row = scores.view(*rows.shape[:3], -1)
            by_row[..., -STEP:] += later
            if window and i + STEP > window:
                by_row += torch.full(by_row.shape[2:], -math.inf).tril(i - window - seen.start)
            probabilities.append(scores.softmax(-1).to(v.dtype))
            y[:, :, i : i + STEP] = torch.bmm(probabilities[-1], v[:, seen]).view(rows.shape)
        ctx.save_for_backward(q, k, v, *probabilities)
        return by_position(y, len(q) // K)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...] | Tensor:
        q, k, v, *probabilities = ctx.saved_tensors
        B, E = len(g), g.shape[-1]
        g = by_key_head(g, len(k) // B)
        values = v.float().mT
        dq, dk, dv = torch.empty_like(q), torch.zeros(k.shape), torch.zeros(v.shape)
        for i, p in enumerate(probabilities):
            block, seen = slice(i * STEP, (i + 1) * STEP), slice(reach(i * STEP, ctx.window), (i + 1) * STEP)
            rows = g[:, :, block].flatten(1, 2)
            dp = torch.bmm(rows.float(), values[..., seen])
            ds = torch._softmax_backward_data(dp, p.float(), -1, torch.float32).to(q.dtype)
            dv[:, seen] += torch.bmm(p.mT, rows)
            dk[:, seen] += torch.bmm(ds.mT, q[:, :, block].flatten(1, 2))
            dq[:, :, block] = torch.bmm(ds, k[:, seen]).view(dq[:, :, block].shape)
        return *(by_position(x, B) for x in (dq * E**-0.5, dk[:, None] * E**-0.5, dv[:, None])), None


def reach(i: int, window: int) -> int:
    """The first key that a query from `i` on may see."""
    return max(0, i - window + 1) if window else 0


def by_key_head(x: Tensor, K: int) -> Tensor:
    """`[B, T, H, E]` to `[B·K, H/K, T, E]`, what the products take."""
    B, T, H, E = x.shape
    return factor(x).view(B, T, K, H // K, E).permute(0, 2, 3, 1, 4).reshape(B * K, H // K, T, E)


def by_position(x: Tensor, B: int) -> Tensor:
    """Back to `[B, T, H, E]`."""
    return x.unflatten(0, (B, -1)).permute(0, 3, 1, 2, 4).flatten(2, 3)


class WithoutOwn(Function):
    """XSA: y − (y·v̂)v̂ for y `[B, T, K, H/K, E]` and v̂ = v / ‖v‖, v `[B, T, K, 1, E]`."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, v: Tensor) -> Tensor:
        n = torch.linalg.vector_norm(v, dim=-1, keepdim=True, dtype=torch.float32).clamp_min_(1e-12)
        own = (v / n).to(v.dtype)
        dot = (y * own).sum(-1, keepdim=True)
        ctx.save_for_backward(y, v, n, own, dot)
        return torch.addcmul(y, dot, own, value=-1)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...] | Tensor:
        y, v, n, own, dot = ctx.saved_tensors
        back = (g * own).sum(-1, keepdim=True)
        d_own = (g * dot).addcmul_(y, back).sum(3, keepdim=True).neg_()
        dv, _ = norm_gradient(d_own.float(), v.float(), n, torch.ones_like(n))
        return torch.addcmul(g, back, own, value=-1), dv.to(v.dtype)


class LeakySquare(Function):
    """leaky_relu(x, 0.5)², whose slope is 2x, for negative x a quarter of it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return F.leaky_relu(x, 0.5).square_()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...] | Tensor:
        (x,) = ctx.saved_tensors
        return F.leaky_relu(x, 0.25).mul_(g).mul_(2)


def here(x: Tensor) -> bool:
    """Whether these passes are for x: not on a GPU, nor where a compiler makes its own."""
    return not x.is_cuda and not torch.compiler.is_compiling()


def in_blocks(window: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention, over the last `window` positions if there is a window; in blocks where a gradient is wanted and
    up to BLOCKWISE_UP_TO tokens are whole blocks."""
    T = k.shape[1]
    if not torch.is_grad_enabled() or q.shape[1] != T or T % STEP or T > BLOCKWISE_UP_TO:
        return banded_attention(window, q, k, v) if window else causal_attention(q, k, v)
    return Causal.apply(q, k, v, window).to(q.dtype)


def band(window: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """`banded_attention` with one mask for all blocks, and queries beside the keys that they share."""
    if not here(q):
        return banded_attention(window, q, k, v)
    (_, t, H, _), (T, K), dtype = q.shape, k.shape[1:3], q.dtype
    window, n, parts = min(window, T), 0, []
    q, k, v = (factor(x).transpose(1, 2).contiguous() for x in (q, k, v))
    for at in range(0, t, QUERIES):
        rows = q.unflatten(1, (K, -1))[..., at : at + QUERIES, :]
        if n != rows.shape[3]:
            n = rows.shape[3]
            mask = torch.ones(n, n + window - 1, dtype=q.dtype).tril(window - 1).triu().log().repeat(H // K, 1)
        end = T - t + at + n
        seen = slice(max(0, end - n - window + 1), end)
        block = rows.flatten(2, 3), k[:, :, seen], v[:, :, seen]
        parts.append(F.scaled_dot_product_attention(*block, mask[:, seen.start - end :]).unflatten(2, (-1, n)))
    return torch.cat(parts, 3).flatten(1, 2).transpose(1, 2).to(dtype)


class CpuAttention(Attention):
    def attended(self, q: Tensor, k: Tensor, v: Tensor, rope: Rope, first: int) -> Tensor:
        if not here(q):
            return super().attended(q, k, v, rope, first)
        cos, sin, attend = rope
        q = Turned.apply(q, self.q_gain, cos[first:], sin[first:])
        k = Turned.apply(k, torch.ones(self.K), cos, sin)
        attend = (
            partial(in_blocks, self.window if self.cfg.attn_window > 0 else 0) if attend is causal_attention else attend
        )
        y = attend(q, k, v).view(*q.shape[:2], self.K, -1, self.E)
        return WithoutOwn.apply(y, after(v, first)[:, :, :, None]) if self.xsa else y


class CpuMLP(MLP):
    def forward(self, n: Tensor) -> Tensor:
        return self.proj(LeakySquare.apply(self.fc(n))) if here(n) else super().forward(n)


class CpuBlock(Block):
    def forward(self, x: Tensor, x0: Tensor, rope: Rope, first: int = 0) -> Tensor:
        if not here(x):
            return super().forward(x, x0, rope, first)
        x = self.mixed(x, x0)
        attn = self.attn(Norm.apply(x, self.branch_scale), rope, first)
        x = after(x, first)
        y = torch.addcmul(x, self.attn_scale.to(x.dtype), attn)
        n = Norm.apply(x if self.parallel else y, self.branch_scale)
        return torch.addcmul(y, self.mlp_scale.to(x.dtype), self.mlp(n))

    def mixed(self, x: Tensor, x0: Tensor) -> Tensor:
        mix = self.resid_mix.to(x.dtype)
        return torch.addcmul(mix[0] * x, mix[1], x0)

    def attention(self, x: Tensor, rope: Rope, first: int) -> Tensor:
        if not here(x):
            return super().attention(x, rope, first)
        return self.attn_scale.to(x.dtype) * self.attn(Norm.apply(x, self.branch_scale), rope, first)

    def feed_forward(self, x: Tensor) -> Tensor:
        if not here(x):
            return super().feed_forward(x)
        return self.mlp_scale.to(x.dtype) * self.mlp(Norm.apply(x, self.branch_scale))


def after(x: Tensor, first: int) -> Tensor:
    """x from position `first` on; all of it costs no gradient of a slice."""
    return x[:, first:] if first else x


def tokens_at_once(cfg: Config, dtype: torch.dtype) -> int:
    """To train on in one piece. In bfloat16 matrices are rounded for each piece, and products are fast, so that fewer
    pieces win although their activations leave the nearest cache."""
    return max(1024, (1 << (20 if dtype == torch.bfloat16 else 18)) // cfg.model_dim)


def cpu_block(cfg: Config, layer: int) -> Block:
    """A block that takes these passes."""
    return CpuBlock(cfg, layer, CpuAttention(cfg, layer), CpuMLP(cfg))
