"""The tied head and its loss, a few rows of logits at a time."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pgolf.trainer.model import GPT
from pgolf.trainer.primitives import factor, linear


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
    def forward(ctx: Any, states: Tensor, embedding: Tensor, targets: Tensor, cap: float) -> Tensor:
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
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        d_states, d_weight = ctx.saved_tensors
        return d_states * grad.to(d_states.dtype), d_weight * grad.to(d_weight.dtype), None, None


def training_loss(model: GPT, states: Tensor, targets: Tensor) -> Tensor:
    """Mean loss in nats, float32 scalar, of states `[B, T, D]` at targets `[B, T]`."""
    head = states.flatten(0, 1), model.tok_emb.weight
    targets, cap = targets.flatten(), model.cfg.logit_softcap
    if states.is_cuda:  # which has room for all logits, and torch.compile makes two passes over them of this
        return F.cross_entropy(softcapped(*head, cap), targets)
    return _HeadLoss.apply(*head, targets, cap)
