"""A transformer block: attention and MLP, each on a normed branch of the residual stream.

Dimensions are named as in `primitives`. There is no dropout and no autocast: training and evaluation run the same code.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pgolf.trainer.config import Config
from pgolf.trainer.primitives import Linear, Rope, head_gates, linear, norm, rotate


class Attention(nn.Module):
    """Causal attention with per-head norm, rotary positions, query gain, XSA and an optional output gate."""

    adapt = None  # where a document's own adapters change (q, k, v), each `[B, T, …]`, that are read off n

    def __init__(self, cfg: Config, layer: int):
        super().__init__()
        self.cfg = cfg
        D, self.H, self.K = cfg.model_dim, cfg.num_heads, cfg.num_kv_heads
        self.E = D // self.H
        self.c_q = Linear(D, D)
        self.c_k = Linear(D, self.K * self.E)
        self.c_v = Linear(D, self.K * self.E)
        self.proj = Linear(D, D)
        self.q_gain = nn.Parameter(torch.full((self.H,), cfg.qk_gain_init))
        if cfg.attn_window > 0:
            from pgolf.trainer.attn_window import window_in_training

            self.window = window_in_training(cfg, layer)  # 0 while training does without
        self.xsa = layer >= cfg.num_layers - cfg.xsa_last_n
        if cfg.attn_out_gate_enabled:
            self.gate = nn.Parameter(torch.zeros(self.H, cfg.gate_window))
        if cfg.sparse_attn_gate_enabled:
            from pgolf.trainer.sparse_attn_gate import SparseGate

            self.gate = SparseGate(cfg)  # type: ignore[assignment]  # a gate of another kind
        if cfg.gated_attn_enabled:
            from pgolf.trainer.gated_attn import GatedAttention

            self.gate = GatedAttention(cfg)  # type: ignore[assignment]

    def forward(self, n: Tensor, rope: Rope, first: int) -> Tensor:
        """n `[B, T, D]`, the branch input, to `[B, T − first, D]`: queries from position `first` on."""
        B, T, D = n.shape
        if first:
            q = self.c_q(n[:, first:])
            k, v = linear(n, self.c_k.weight, self.c_v.weight).split(self.K * self.E, dim=-1)
        else:
            sizes = (D, self.K * self.E, self.K * self.E)
            q, k, v = linear(n, self.c_q.weight, self.c_k.weight, self.c_v.weight).split(sizes, dim=-1)
        if self.adapt:
            q, k, v = self.adapt(n, first, q, k, v)
        q, k, v = (
            q.view(B, T - first, self.H, self.E),
            k.view(B, T, self.K, self.E),
            v.view(B, T, self.K, self.E),
        )
        y = self.attended(q, k, v, rope, first).reshape(B, T - first, self.H, self.E)
        if self.cfg.attn_out_gate_enabled:
            source = q.flatten(2) if self.cfg.attn_out_gate_src == "q" else n[:, first:]
            y = y * (2 * head_gates(source, self.gate))
        if self.cfg.sparse_attn_gate_enabled or self.cfg.gated_attn_enabled:
            y = y * self.gate(n[:, first:])  # type: ignore[operator]
        return self.proj(y.reshape(B, T - first, D))

    def attended(self, q: Tensor, k: Tensor, v: Tensor, rope: Rope, first: int) -> Tensor:
        """What queries `[B, t, H, E]` from position `first` on find in k, v `[B, T, K, E]`: `[B, t, K, H/K, E]`."""
        cos, sin, attend = rope
        if self.cfg.attn_window > 0:
            from pgolf.trainer.attn_window import within

            attend = within(self.window, attend)
        turned = rotate(q, cos[first:], sin[first:]) * self.q_gain.to(q.dtype)[:, None]
        y = attend(turned, rotate(k, cos, sin), v).view(*q.shape[:2], self.K, -1, self.E)
        if self.xsa:  # drop what the position's own value says: y − (y·v̂)v̂, one v̂ per group of query heads
            own = F.normalize(v[:, first:], dim=-1)[:, :, :, None]  # [B, t, K, 1, E]
            y = y - (y * own).sum(-1, keepdim=True) * own
        return y


class MLP(nn.Module):
    def __init__(self, cfg: Config):
        super().__init__()
        hidden = int(cfg.mlp_mult * cfg.model_dim)
        self.fc = Linear(cfg.model_dim, hidden)
        self.proj = Linear(hidden, cfg.model_dim)

    def forward(self, n: Tensor) -> Tensor:
        return self.proj(F.leaky_relu(self.fc(n), 0.5).square())


class Block(nn.Module):
    """x_in = a·x + b·x0, then attention and MLP: one after the other, or side by side (`parallel`)."""

    def __init__(self, cfg: Config, layer: int, attn: Attention, mlp: MLP):
        super().__init__()
        D = cfg.model_dim
        self.attn, self.mlp = attn, mlp
        self.attn_scale = nn.Parameter(torch.ones(D))
        self.mlp_scale = nn.Parameter(torch.ones(D))
        self.resid_mix = nn.Parameter(torch.stack([torch.ones(D), torch.zeros(D)]))
        self.parallel = layer >= cfg.parallel_residual_start
        self.branch_scale = (layer + 1) ** -0.5 if cfg.ln_scale else 1.0
        if cfg.loop_branch_scale and cfg.loop_start <= layer <= cfg.loop_end:
            self.branch_scale *= (cfg.num_loops + 1) ** -0.5

    def forward(self, x: Tensor, x0: Tensor, rope: Rope, first: int = 0) -> Tensor:
        x = self.mixed(x, x0)
        after = x[:, first:] + self.attention(x, rope, first)
        return after + self.feed_forward(x[:, first:] if self.parallel else after)

    def mixed(self, x: Tensor, x0: Tensor) -> Tensor:
        mix = self.resid_mix.to(x.dtype)
        return mix[0] * x + mix[1] * x0

    def attention(self, x: Tensor, rope: Rope, first: int) -> Tensor:
        return self.attn_scale.to(x.dtype) * self.attn(norm(x) * self.branch_scale, rope, first)

    def feed_forward(self, x: Tensor) -> Tensor:
        return self.mlp_scale.to(x.dtype) * self.mlp(norm(x) * self.branch_scale)
