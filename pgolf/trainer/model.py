"""The model: a looped U-Net of transformer blocks over a tied embedding.

B sequences, T tokens, D model_dim, H query heads, K key/value heads, E head size, V vocabulary. Matrices are stored
in float32 and used in the compute dtype; every cast is written out, so that a new torch changes no number. There is
no dropout and no autocast: training and evaluation run the same code.
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
MATRICES = ("attn.c_q", "attn.c_k", "attn.c_v", "attn.proj", "mlp.fc", "mlp.proj")


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
    y = F.scaled_dot_product_attention(*heads, mask, is_causal=mask is None, enable_gqa=True)
    return y.transpose(1, 2).to(q.dtype)


def head_gates(source: Tensor, weight: Tensor) -> Tensor:
    """sigmoid of one logit a head, read off the first dims of the source: `[B, T, dims]` to `[B, T, H, 1]`."""
    return linear(source[..., : weight.shape[1]], weight).sigmoid()[..., None]


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
        self.xsa = layer >= cfg.num_layers - cfg.xsa_last_n
        if cfg.attn_out_gate_enabled:
            self.gate = nn.Parameter(torch.zeros(self.H, cfg.gate_window))
        if cfg.sparse_attn_gate_enabled:
            from pgolf.trainer.sparse_attn_gate import SparseGate

            self.gate = SparseGate(cfg)
        if cfg.gated_attn_enabled:
            from pgolf.trainer.gated_attn import GatedAttention

            self.gate = GatedAttention(cfg)

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
            y = y * self.gate(n[:, first:])
        return self.proj(y.reshape(B, T - first, D))

    def attended(self, q: Tensor, k: Tensor, v: Tensor, rope: Rope, first: int) -> Tensor:
        """What queries `[B, t, H, E]` from position `first` on find in k, v `[B, T, K, E]`: `[B, t, K, H/K, E]`."""
        cos, sin, attend = rope
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

    def __init__(self, cfg: Config, layer: int):
        super().__init__()
        D = cfg.model_dim
        self.attn = Attention(cfg, layer)
        self.mlp = MLP(cfg)
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


class GPT(nn.Module):
    """The trunk; the tied head and its loss are in `token_losses` and `training_loss`."""

    def __init__(self, cfg: Config, dtype: torch.dtype = torch.float32):
        super().__init__()
        self.cfg, self.dtype, self.looping = cfg, dtype, False
        self.seen: set[tuple[int, int, int]] = set()  # what `score_windows` has run
        self.tok_emb = nn.Embedding(cfg.vocab_size, cfg.model_dim)
        self.blocks = nn.ModuleList(Block(cfg, i) for i in range(cfg.num_layers))
        rows = max(len(self.virtual_order(looping)[0]) for looping in (False, True))
        self.skip_weights = nn.Parameter(torch.ones(rows, cfg.model_dim))
        if cfg.skip_gates_enabled:
            self.skip_gates = nn.Parameter(torch.zeros(rows, cfg.model_dim))
        if cfg.embed_scale_enabled:
            self.embed_scale = nn.Parameter(torch.ones(1))
        if cfg.smear_gate_enabled:
            from pgolf.trainer.smear_gate import SmearGate

            self.smear = SmearGate(cfg)
        if cfg.parallel_start_layer > 0:
            from pgolf.trainer.parallel_start_layer import TwoLanes

            self.lanes = TwoLanes(cfg)
        if cfg.cpu_kernels:
            from pgolf.trainer.cpu_kernels import use

            use(self)
        self._init_weights()

    def virtual_order(self, looping: bool) -> tuple[list[int], list[int]]:
        """Left and right part of the U-Net as physical block numbers."""
        cfg, order = self.cfg, list(range(self.cfg.num_layers))
        if looping:
            loop = order[cfg.loop_start : cfg.loop_end + 1]
            order[cfg.loop_start : cfg.loop_end + 1] = loop * (cfg.num_loops + 1)
        return order[: len(order) // 2], order[len(order) // 2 :]

    @torch.no_grad()
    def _init_weights(self) -> None:
        """Orthogonal matrices (zero where a branch ends), all rounded once to bf16; embedding N(0, std²)."""
        nn.init.normal_(self.tok_emb.weight, std=self.cfg.tied_embed_init_std)
        for name, module in self.named_modules():
            if isinstance(module, Linear):
                if name.endswith("proj"):
                    module.weight.zero_()
                elif min(module.weight.shape) >= 64:
                    nn.init.orthogonal_(module.weight)
                module.weight.copy_(module.weight.bfloat16())
        if self.dtype == torch.bfloat16:
            self.tok_emb.bfloat16()

    def forward(self, tokens: Tensor, first: int = 0, bounds: Tensor | None = None) -> Tensor:
        """Tokens `[B, T]` to final normed states `[B, T − first, D]`, in the compute dtype.

        Attention is causal within a row or, if `bounds` (see `doc_attention.segment_bounds`) are given, a segment.
        """
        x = F.embedding(tokens, self.tok_emb.weight).to(self.dtype)
        if self.cfg.smear_gate_enabled:
            x = self.smear(x, tokens)
        x = norm(x)
        if self.cfg.embed_scale_enabled:
            x = x * self.embed_scale.to(x.dtype)
        x0 = x
        rope: Rope = (*rotary_tables(tokens.shape[1], self.cfg, tokens.device), causal_attention)
        if self.cfg.doc_attention_enabled and bounds is not None:
            from pgolf.trainer.doc_attention import segment_rope

            rope = segment_rope(self.cfg, bounds, tokens)
        left, right = self.virtual_order(self.looping)
        skips = []
        for i in left:
            x = self.blocks[i](x, x0, rope)
            skips.append(x)
        for j, i in enumerate(right):
            if self.cfg.parallel_start_layer > 0 and i >= self.cfg.parallel_start_layer:
                x = self.lanes(self, j, skips, x, x0, rope, first)
                break
            if skips:
                x = self._join(j, skips.pop(), x)
            x = self.blocks[i](x, x0, rope, first if j == len(right) - 1 else 0)
        return norm(x)

    def _join(self, row: int, skip: Tensor, x: Tensor) -> Tensor:
        skip = self.skip_weights[row].to(x.dtype) * skip
        if not self.cfg.skip_gates_enabled:
            return x + skip
        return torch.lerp(skip, x, self.skip_gates[row].sigmoid().to(x.dtype))


def raw(model: GPT) -> GPT:
    """The model itself, with its parameters' own names, where it may have been compiled."""
    return getattr(model, "_orig_mod", model)


def softcapped(states: Tensor, embedding: Tensor, cap: float) -> Tensor:
    """Logits of the tied head in float32: cap·tanh(z / cap)."""
    return linear(states, embedding).float().div_(cap).tanh_() * cap


def rows_at_once(vocab_size: int) -> int:
    """How many positions' float32 logits to hold at a time: 16 MiB of them, which stays in cache."""
    return max(1, (16 << 20) // (4 * vocab_size))


def token_losses(model: GPT, states: Tensor, targets: Tensor, want_logp: bool = False) -> tuple[Tensor, Tensor | None]:
    """Losses in nats, float32 `[n]`, of states `[n, D]` at targets `[n]`; with `want_logp` also log p `[n, V]`."""
    losses, logps = [], []
    step = rows_at_once(model.cfg.vocab_size)
    for x, y in zip(states.split(step), targets.split(step), strict=True):
        logp = F.log_softmax(softcapped(x, model.tok_emb.weight, model.cfg.logit_softcap), dim=-1)
        losses.append(-logp.gather(1, y[:, None])[:, 0])
        if want_logp:
            logps.append(logp)
    return torch.cat(losses), torch.cat(logps) if want_logp else None


class _HeadLoss(torch.autograd.Function):
    """Mean cross-entropy of the softcapped head. Logits exist a few rows at a time, and their gradient is taken
    while they do, so nothing of size tokens × vocabulary is ever kept or computed twice."""

    @staticmethod
    def forward(ctx, states: Tensor, embedding: Tensor, targets: Tensor, cap: float) -> Tensor:
        n, weight = len(states), embedding.to(states.dtype)
        loss = torch.zeros((), device=states.device)
        d_states = torch.empty_like(states)
        d_weight = torch.zeros(weight.shape, device=states.device)
        step = rows_at_once(len(weight))
        for i in range(0, n, step):
            x, y = states[i : i + step], targets[i : i + step, None]
            z = softcapped(x, weight, cap)
            slope = 1 - (z / cap).square_()  # d softcap / d logit
            top = z.amax(-1, keepdim=True)
            loss += top.sum() - z.gather(1, y).sum()
            p = z.sub_(top).exp_()
            total = p.sum(-1, keepdim=True)
            loss += total.log().sum()
            p.div_(total).scatter_add_(1, y, torch.full_like(total, -1.0))
            g = factor(p.mul_(slope).div_(n).to(x.dtype))
            d_states[i : i + step] = g @ factor(weight)
            d_weight += g.t() @ factor(x)
        ctx.save_for_backward(d_states, d_weight.to(embedding.dtype))
        return loss / n

    @staticmethod
    def backward(ctx, grad: Tensor):
        d_states, d_weight = ctx.saved_tensors
        return d_states * grad.to(d_states.dtype), d_weight * grad.to(d_weight.dtype), None, None


def training_loss(model: GPT, states: Tensor, targets: Tensor) -> Tensor:
    """Mean loss in nats, float32 scalar, of states `[B, T, D]` at targets `[B, T]`."""
    head = states.flatten(0, 1), model.tok_emb.weight
    targets, cap = targets.flatten(), model.cfg.logit_softcap
    if states.is_cuda:  # which has room for all logits, and torch.compile makes two passes over them of this
        return F.cross_entropy(softcapped(*head, cap), targets)
    return _HeadLoss.apply(*head, targets, cap)
