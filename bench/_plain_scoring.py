"""Scoring written the straightforward way, as the public trainer does it: what bench/score.py compares with.

The same arithmetic on the same parameters, one matrix product a matrix, full logits for every position of every
window, windows in batches of 32 with the last ones padded, training in batches of up to 32 sequences.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pgolf.trainer.blocks import Block
from pgolf.trainer.config import BOS, Config
from pgolf.trainer.model import GPT

WINDOWS_AT_ONCE = 32


def norm(x: Tensor) -> Tensor:
    return F.rms_norm(x, x.shape[-1:], eps=torch.finfo(torch.float32).eps)


def linear(x: Tensor, weight: Tensor) -> Tensor:
    return F.linear(x, weight.to(x.dtype))


class Reference:
    """`model`'s forward pass, written out, on its own parameters."""

    def __init__(self, model: GPT):
        self.model, self.cfg = model, model.cfg

    def rotary(self, x: Tensor) -> Tensor:  # x (B, T, heads, head size)
        cfg, n = self.cfg, self.cfg.rope_dims
        T = x.shape[1]
        base = cfg.rope_base * max(1.0, T / cfg.rope_train_seq_len) ** (n / (n - 2))
        frequency = 1.0 / base ** (torch.arange(0, n, 2, dtype=torch.float32) / n)
        angle = torch.outer(torch.arange(T, dtype=torch.float32), frequency)
        cos, sin = angle.cos()[None, :, None], angle.sin()[None, :, None]
        turned, rest = x[..., :n].float(), x[..., n:]
        a, b = turned.chunk(2, dim=-1)
        return torch.cat([torch.cat([a * cos + b * sin, b * cos - a * sin], -1).to(x.dtype), rest], -1)

    def attention(self, block: Block, n: Tensor) -> Tensor:  # n (B, T, D)
        B, T, D = n.shape
        own = block.attn
        q = linear(n, own.c_q.weight).reshape(B, T, own.H, own.E)
        k = linear(n, own.c_k.weight).reshape(B, T, own.K, own.E)
        v = linear(n, own.c_v.weight).reshape(B, T, own.K, own.E)
        q, k = self.rotary(norm(q)), self.rotary(norm(k))
        q = q * own.q_gain.to(q.dtype)[None, None, :, None]
        y = F.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True, enable_gqa=True
        ).transpose(1, 2)
        if own.xsa:
            y = y.reshape(B, T, own.K, own.H // own.K, own.E)
            unit = F.normalize(v, dim=-1)[:, :, :, None]
            y = (y - (y * unit).sum(-1, keepdim=True) * unit).reshape(B, T, own.H, own.E)
        if hasattr(own, "gate"):
            gate = linear(n[..., : own.gate.shape[1]], own.gate)
            y = y * (2 * torch.sigmoid(gate))[..., None]
        return linear(y.reshape(B, T, D), own.proj.weight)

    def block(self, block: Block, x: Tensor, x0: Tensor) -> Tensor:
        mix = block.resid_mix.to(x.dtype)
        x_in = mix[0] * x + mix[1] * x0
        after = x_in + block.attn_scale.to(x.dtype) * self.attention(block, norm(x_in) * block.branch_scale)
        n = norm(x_in if block.parallel else after) * block.branch_scale
        hidden = F.leaky_relu(linear(n, block.mlp.fc.weight), 0.5).square()
        return after + block.mlp_scale.to(x.dtype) * linear(hidden, block.mlp.proj.weight)

    def logits(self, tokens: Tensor) -> Tensor:
        """Tokens `[B, T]` to float32 logits `[B, T, V]`."""
        model, cap = self.model, self.cfg.logit_softcap
        x = F.embedding(tokens, model.tok_emb.weight).to(model.dtype)
        if self.cfg.smear_gate_enabled:
            gate, here = model.smear.gate, x[:, 1:]
            share = torch.sigmoid(linear(here[..., : gate.shape[1]], gate)) * model.smear.scale.to(x.dtype)
            x = torch.cat([x[:, :1], here + share * (tokens[:, 1:, None] != BOS) * x[:, :-1]], 1)
        x = norm(x)
        if self.cfg.embed_scale_enabled:
            x = x * model.embed_scale.to(x.dtype)
        x0 = x
        left, right = model.virtual_order(model.looping)
        skips = []
        for i in left:
            x = self.block(model.blocks[i], x, x0)
            skips.append(x)
        for j, i in enumerate(right):
            if skips:
                skip = model.skip_weights[j].to(x.dtype) * skips.pop()
                gated = self.cfg.skip_gates_enabled
                x = torch.lerp(skip, x, torch.sigmoid(model.skip_gates[j].to(x.dtype))) if gated else x + skip
            x = self.block(model.blocks[i], x, x0)
        return (cap * torch.tanh(linear(norm(x), model.tok_emb.weight) / cap)).float()


def window_starts(cfg: Config, total: int) -> list[int]:
    n, stride = cfg.eval_seq_len, cfg.eval_stride
    return [s for s in range(0, total, stride) if s == 0 or s + n - stride < total]


def score(reference: Reference, tokens: Tensor, windows: list[tuple[int, int, int]]) -> Iterator[Tensor]:
    """Losses of the scored positions of windows (start, first scored input, end), 32 at a time, padded to full."""
    n, total = reference.cfg.eval_seq_len, len(tokens) - 1
    for at in range(0, len(windows), WINDOWS_AT_ONCE):
        batch = windows[at : at + WINDOWS_AT_ONCE]
        x, y = torch.zeros(2, len(batch), n, dtype=torch.int64)
        for row, (start, _, end) in enumerate(batch):
            x[row, : end - start], y[row, : end - start] = tokens[start:end], tokens[start + 1 : end + 1]
        with torch.no_grad():
            logits = reference.logits(x)
            nats = F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none").view(len(batch), n)
        for row, (start, first, end) in enumerate(batch):
            yield nats[row, first - start : min(end, total) - start]


def fixed(model: GPT, tokens: Tensor) -> Tensor:
    """Nats of each target, float32 `[targets]`, in sequences side by side."""
    n, total = model.cfg.eval_seq_len, len(tokens) - 1
    windows = [(s, s, min(s + n, total)) for s in range(0, total, n)]
    return torch.cat(list(score(Reference(model), tokens, windows)))


def sliding_windows(cfg: Config, total: int) -> list[tuple[int, int, int]]:
    n, stride = cfg.eval_seq_len, cfg.eval_stride
    return [(s, s + n - stride if s else 0, min(s + n, total)) for s in window_starts(cfg, total)]


def sliding(model: GPT, tokens: Tensor) -> Tensor:
    """Nats of each target, float32 `[targets]`, in overlapping windows."""
    return torch.cat(list(score(Reference(model), tokens, sliding_windows(model.cfg, len(tokens) - 1))))


def ttt(model: GPT, tokens: Tensor) -> Tensor:
    """Nats of each target, float32 `[targets]`; `model` is adapted on the way, each chunk after its scoring."""
    cfg, total, reference = model.cfg, len(tokens) - 1, Reference(model)
    n, size = cfg.eval_seq_len, cfg.ttt_chunk_tokens
    chunks = math.ceil(total / size)
    windows = sliding_windows(cfg, total)
    optimizer = torch.optim.SGD(model.parameters(), lr=cfg.ttt_lr, momentum=cfg.ttt_momentum)
    scores = []
    for c in range(chunks):
        scores += score(reference, tokens, [w for w in windows if w[1] // size == c])
        if c == chunks - 1:
            break
        optimizer.param_groups[0]["lr"] = cfg.ttt_lr * 0.5 * (1 + math.cos(math.pi * c / (chunks - 1)))
        starts = range(c * size, (c + 1) * size - n + 1, n)
        for _ in range(cfg.ttt_epochs):
            for at in range(0, len(starts), cfg.ttt_batch_seqs):
                rows = torch.stack([tokens[s : s + n + 1] for s in starts[at : at + cfg.ttt_batch_seqs]])
                optimizer.zero_grad(set_to_none=True)
                logits = reference.logits(rows[:, :-1])
                F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten()).backward()
                nn.utils.clip_grad_norm_(model.parameters(), cfg.ttt_grad_clip)
                optimizer.step()
    return torch.cat(scores)
