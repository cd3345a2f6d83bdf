"""The record stack's training step written the straightforward way: what bench/train.py compares the trainer with.

One module a thing, one parameter at a time, autocast for bfloat16, logits and cross-entropy in one piece. It is meant
to be what a careful author writes first, with PyTorch's own fused parts (SDPA, fused AdamW) and none of ours; compiled,
where that is asked for, as the public trainers are: the whole forward pass with its loss, and Newton–Schulz.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pgolf.trainer.config import Config


class PlainLinear(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.to(x.dtype))


class PlainBlock(nn.Module):
    def __init__(self, cfg: Config, layer: int):
        super().__init__()
        d, self.h, self.k = cfg.model_dim, cfg.num_heads, cfg.num_kv_heads
        self.e = d // self.h
        self.c_q = PlainLinear(d, d, bias=False)
        self.c_k = PlainLinear(d, self.k * self.e, bias=False)
        self.c_v = PlainLinear(d, self.k * self.e, bias=False)
        self.proj = PlainLinear(d, d, bias=False)
        self.fc = PlainLinear(d, int(cfg.mlp_mult * d), bias=False)
        self.mlp_proj = PlainLinear(int(cfg.mlp_mult * d), d, bias=False)
        self.q_gain = nn.Parameter(torch.full((self.h,), cfg.qk_gain_init))
        self.attn_scale, self.mlp_scale = nn.Parameter(torch.ones(d)), nn.Parameter(torch.ones(d))
        self.resid_mix = nn.Parameter(torch.stack([torch.ones(d), torch.zeros(d)]))
        self.factor, self.parallel = (layer + 1) ** -0.5, layer >= cfg.parallel_residual_start

    def attention(self, n: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        b, t, d = n.shape
        q = self.c_q(n).view(b, t, self.h, self.e)
        k = self.c_k(n).view(b, t, self.k, self.e)
        v = self.c_v(n).view(b, t, self.k, self.e)
        q, k = F.rms_norm(q, (self.e,)).to(v.dtype), F.rms_norm(k, (self.e,)).to(v.dtype)
        q, k = self.rotary(q, cos, sin), self.rotary(k, cos, sin)
        q = q * self.q_gain.to(q.dtype)[:, None]
        heads = [x.transpose(1, 2) for x in (q, k, v)]
        y = F.scaled_dot_product_attention(*heads, is_causal=True, enable_gqa=True).transpose(1, 2)
        grouped = y.reshape(b, t, self.k, self.h // self.k, self.e)
        own = F.normalize(v, dim=-1).unsqueeze(-2)
        y = grouped - (grouped * own).sum(dim=-1, keepdim=True) * own
        return self.proj(y.reshape(b, t, d))

    def rotary(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        half = cos.shape[-1]
        a, b = x[..., :half], x[..., half : 2 * half]
        turned = torch.cat([a * cos + b * sin, b * cos - a * sin], dim=-1).to(x.dtype)
        return torch.cat([turned, x[..., 2 * half :]], dim=-1)

    def forward(self, x: Tensor, x0: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        mix = self.resid_mix.to(x.dtype)
        x_in = mix[0] * x + mix[1] * x0
        attn = self.attention(F.rms_norm(x_in, (x.shape[-1],)).to(x.dtype) * self.factor, cos, sin)
        x = x_in + self.attn_scale.to(x.dtype) * attn
        n = F.rms_norm(x_in if self.parallel else x, (x.shape[-1],)).to(x.dtype) * self.factor
        return x + self.mlp_scale.to(x.dtype) * self.mlp_proj(F.leaky_relu(self.fc(n), 0.5).square())


class PlainGPT(nn.Module):
    def __init__(self, cfg: Config):
        super().__init__()
        self.cfg, self.looping = cfg, False
        self.tok_emb = nn.Embedding(cfg.vocab_size, cfg.model_dim)
        self.blocks = nn.ModuleList(PlainBlock(cfg, i) for i in range(cfg.num_layers))
        rows = len(self.order(True)) // 2
        self.skip_weights = nn.Parameter(torch.ones(rows, cfg.model_dim))
        self.skip_gates = nn.Parameter(torch.zeros(rows, cfg.model_dim))
        nn.init.normal_(self.tok_emb.weight, std=cfg.tied_embed_init_std)
        for name, p in self.named_parameters():
            if name.endswith("proj.weight"):
                nn.init.zeros_(p)
            elif name.startswith("blocks") and p.ndim == 2 and min(p.shape) >= 64:
                nn.init.orthogonal_(p)

    def order(self, looping: bool) -> list[int]:
        cfg = self.cfg
        loop = list(range(cfg.loop_start, cfg.loop_end + 1)) * (cfg.num_loops + 1 if looping else 1)
        return [*range(cfg.loop_start), *loop, *range(cfg.loop_end + 1, cfg.num_layers)]

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        cfg = self.cfg
        x = x0 = F.rms_norm(self.tok_emb(tokens), (cfg.model_dim,))
        inv = cfg.rope_base ** -(torch.arange(0, cfg.rope_dims, 2, device=x.device).float() / cfg.rope_dims)
        angle = torch.outer(torch.arange(tokens.shape[1], device=x.device).float(), inv)[:, None]
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        order, skips = self.order(self.looping), []
        for i in order[: len(order) // 2]:
            x = self.blocks[i](x, x0, cos, sin)
            skips.append(x)
        for j, i in enumerate(order[len(order) // 2 :]):
            if skips:
                skip = self.skip_weights[j].to(x.dtype) * skips.pop()
                x = torch.lerp(skip, x, self.skip_gates[j].sigmoid().to(x.dtype))
            x = self.blocks[i](x, x0, cos, sin)
        logits = F.linear(F.rms_norm(x, (cfg.model_dim,)), self.tok_emb.weight)
        logits = cfg.logit_softcap * torch.tanh(logits / cfg.logit_softcap)
        return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())


def newton_schulz(g: Tensor, steps: int) -> Tensor:
    x = g.bfloat16()
    x = x / (x.norm() + 1e-7)
    if tall := x.size(0) > x.size(1):
        x = x.T
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.T if tall else x


class PlainTrainer:
    """`step(tokens, targets)` trains on one batch in one piece, as the public loop does with one micro-batch."""

    def __init__(self, cfg: Config, dtype: torch.dtype, device: torch.device, compiled: bool = False):
        torch.manual_seed(cfg.seed)
        self.cfg, self.dtype, self.device = cfg, dtype, device
        self.model = PlainGPT(cfg).to(device)
        self.forward = torch.compile(self.model, dynamic=False, fullgraph=True) if compiled else self.model
        self.newton_schulz = torch.compile(newton_schulz) if compiled else newton_schulz
        if dtype == torch.bfloat16:
            self.model.tok_emb.bfloat16()
        named = dict(self.model.named_parameters())
        self.matrices = [p for n, p in named.items() if n.endswith(".weight") and n.startswith("blocks")]
        small = [p for n, p in named.items() if not n.endswith(".weight")]
        self.momentum = [torch.zeros_like(p) for p in self.matrices]
        self.adam = [
            torch.optim.AdamW([self.model.tok_emb.weight], lr=cfg.tied_embed_lr, betas=(0.9, 0.95), fused=True),
            torch.optim.AdamW(small, lr=cfg.scalar_lr, betas=(0.9, 0.95), fused=True),
        ]
        self.ema = {n: p.detach().float().clone() for n, p in named.items()}

    def forward_backward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            loss = self.forward(tokens, targets)
        loss.backward()
        return loss.detach()

    @torch.no_grad()
    def optimise(self) -> None:
        cfg = self.cfg
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), cfg.grad_clip_norm)
        for p, buffer in zip(self.matrices, self.momentum, strict=True):
            buffer.mul_(0.95).add_(p.grad)
            blend = p.grad.add(buffer, alpha=0.95)
            blend = blend / blend.norm(dim=-1, keepdim=True).clamp_min(1e-7)
            update = self.newton_schulz(blend, cfg.muon_backend_steps).to(p.dtype)
            p.mul_(1 - cfg.matrix_lr * cfg.muon_wd)
            p.add_(update, alpha=-cfg.matrix_lr * max(1, p.size(0) / p.size(1)) ** 0.5)
        for adam in self.adam:
            adam.step()
        self.model.zero_grad(set_to_none=True)
        for name, p in self.model.named_parameters():
            self.ema[name].mul_(cfg.ema_decay).add_(p.float(), alpha=1 - cfg.ema_decay)

    def step(self, tokens: Tensor, targets: Tensor) -> Tensor:
        loss = self.forward_backward(tokens, targets)
        self.optimise()
        return loss
