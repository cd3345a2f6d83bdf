"""MuonEq-R for the blocks' matrices, AdamW for the rest, on parameters that live in a few big banks.

All matrices of one shape and kind are slices of one tensor `[n, rows, cols]`, all small float32 parameters slices of
one vector; gradients likewise. So orthogonalisation is one batched call a shape, clipping, averaging over ranks, EMA
and checkpoints touch a handful of tensors, and nothing is gathered or scattered on the way.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pgolf.trainer.config import Config
from pgolf.trainer.model import GPT
from pgolf.trainer.primitives import factor

Quintic = tuple[float, float, float]
MATRICES = ("attn.c_q", "attn.c_k", "attn.c_v", "attn.proj", "mlp.fc", "mlp.proj")
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def bank_of(name: str) -> str:
    """The bank that a parameter belongs to: 'tok_emb', 'small', or its matrix kind ('attn.c_q', …)."""
    if name.startswith("tok_emb"):
        return "tok_emb"
    return next((kind for kind in MATRICES if name.endswith(kind + ".weight")), "small")


class Banks(dict[str, nn.Parameter]):
    """Name of the bank → its tensor, with `.grad` allocated. The model's own parameters become views of it.

    `members[bank]` lists (parameter name, offset, shape) in the model's order.
    """

    def __init__(self, model: GPT):
        super().__init__()
        groups: dict[str, list[tuple[str, nn.Parameter]]] = {}
        for name, p in model.named_parameters():
            kind = bank_of(name)
            # q and out-projection share a shape, k and v too: one orthogonalisation each
            shape = "" if kind in ("tok_emb", "small") else f"{kind.split('.')[0]} {tuple(p.shape)}"
            groups.setdefault(shape or kind, []).append((name, p))
        self.members: dict[str, list[tuple[str, int, torch.Size]]] = {}
        for key, named in groups.items():
            flat = torch.cat([p.detach().flatten() for _, p in named])
            bank = nn.Parameter(flat.view(-1, *named[0][1].shape) if " " in key else flat)
            bank.grad = torch.zeros_like(bank)
            offset, self.members[key] = 0, []
            for name, p in named:
                p.data = bank.data.view(-1)[offset : offset + p.numel()].view(p.shape)
                p.grad = bank.grad.view(-1)[offset : offset + p.numel()].view(p.shape)
                self.members[key].append((name, offset, p.shape))
                offset += p.numel()
            self[key] = bank

    def matrices(self) -> dict[str, nn.Parameter]:
        return {k: b for k, b in self.items() if " " in k}

    def zero_grad(self) -> None:
        for bank in self.values():
            bank.grad.zero_()  # type: ignore[union-attr]  # `__init__` has made all

    def average_grads(self, world: int) -> None:
        """Mean of the gradients over ranks, in place."""
        if world > 1:
            for bank in self.values():
                dist.all_reduce(bank.grad)
                bank.grad /= world  # type: ignore[operator, assignment]

    def clip_grads(self, max_norm: float) -> Tensor:
        """Joint clip over all parameters; gives the norm before it."""
        if max_norm <= 0:
            return nn.utils.get_total_norm([b.grad for b in self.values()])  # type: ignore[misc]
        return nn.utils.clip_grad_norm_(self.values(), max_norm)


class EMA:
    """Exponential moving average of every parameter in float32, from the initial weights on."""

    def __init__(self, banks: Banks, decay: float):
        self.banks, self.decay = banks, decay
        self.average = {k: b.detach().float().clone() for k, b in banks.items()}

    @torch.no_grad()
    def update(self) -> None:
        for k, average in self.average.items():
            average.lerp_(self.banks[k].float(), 1 - self.decay)

    @torch.no_grad()
    def apply(self) -> None:
        """Put the average into the model (the embedding rounded to its own dtype)."""
        for k, average in self.average.items():
            self.banks[k].copy_(average)


def orthogonalise(g: Tensor, steps: Sequence[Quintic]) -> Tensor:
    """Newton–Schulz iteration towards the nearest semi-orthogonal matrix, batched: `[n, rows, cols]` to the same."""
    tall = g.shape[-2] > g.shape[-1]
    x = g.mT if tall else g
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for a, b, c in steps:
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon:
    """MuonEq-R: momentum, Nesterov blend, rows divided by their norms, orthogonalised; decoupled weight decay."""

    def __init__(self, banks: Banks, cfg: Config, dtype: torch.dtype, rank: int, world: int):
        self.banks, self.cfg, self.dtype, self.world = banks.matrices(), cfg, dtype, world
        self.mine = slice(rank, None, world)  # matrix i belongs to rank i mod world
        self.steps, kept = [NEWTON_SCHULZ] * cfg.muon_backend_steps, torch.float32
        if cfg.muon_polar_enabled:
            from pgolf.trainer.muon_polar import polar_express

            self.steps, kept = polar_express(cfg.muon_backend_steps), dtype  # the record's pair: bf16 on a GPU
        self.buffers = {k: torch.zeros_like(b, dtype=kept) for k, b in self.banks.items()}
        mlp_wd = cfg.muon_wd if cfg.muon_wd_mlp < 0 else cfg.muon_wd_mlp
        self.decay = {k: mlp_wd if k.startswith("mlp") else cfg.muon_wd for k in self.banks}

    @torch.no_grad()
    def step(self, lr_mul: float, momentum: float) -> None:
        lr = self.cfg.matrix_lr * lr_mul
        for key, bank in self.banks.items():
            buffer = self.buffers[key][self.mine]
            g = bank.grad[self.mine].to(buffer.dtype)  # type: ignore[index]
            buffer.mul_(momentum).add_(g)
            blend = g.add(buffer, alpha=momentum)
            if self.cfg.muon_row_normalize:
                blend /= blend.norm(dim=-1, keepdim=True).clamp_min_(1e-7)
            update = torch.zeros(bank.shape, dtype=self.dtype, device=bank.device)
            if len(blend):
                update[self.mine] = orthogonalise(factor(blend.to(self.dtype)), self.steps)
            if self.world > 1:
                dist.all_reduce(update)
            bank.mul_(1 - lr * self.decay[key])
            bank.add_(update, alpha=-lr * max(1.0, bank.shape[-2] / bank.shape[-1]) ** 0.5)

    def gathered(self) -> dict[str, Tensor]:
        """The momentum of all ranks' matrices (each rank's buffer is zero for the others')."""
        whole = {k: b.clone() for k, b in self.buffers.items()}
        if self.world > 1:
            for buffer in whole.values():
                dist.all_reduce(buffer)
        return whole


class Optimizer:
    """AdamW on the embedding, Muon on the matrices, AdamW on every gain, scale, mix and skip vector."""

    def __init__(self, banks: Banks, cfg: Config, dtype: torch.dtype, rank: int, world: int):
        self.muon = Muon(banks, cfg, dtype, rank, world)
        self.adam = torch.optim.AdamW(
            [
                {"params": banks["tok_emb"], "base_lr": cfg.tied_embed_lr, "weight_decay": cfg.embed_wd},
                {"params": banks["small"], "base_lr": cfg.scalar_lr, "weight_decay": cfg.adam_wd},
            ],
            betas=(cfg.beta1, cfg.beta2),
            eps=cfg.adam_eps,
            fused=True,
        )

    def step(self, lr_mul: float, momentum: float) -> None:
        for group in self.adam.param_groups:
            group["lr"] = group["base_lr"] * lr_mul
        self.adam.step()
        self.muon.step(lr_mul, momentum)

    def state_dict(self) -> dict[str, Any]:
        """Everything, on every rank (a collective call)."""
        return {"muon": self.muon.gathered(), "adam": self.adam.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for key, buffer in self.muon.buffers.items():
            buffer[self.muon.mine] = state["muon"][key][self.muon.mine]
        self.adam.load_state_dict(state["adam"])


def lr_multiplier(cfg: Config, frac: float) -> float:
    """1, then over the last WARMDOWN_FRAC of the clock down a line to 0, with MIN_LR as its floor."""
    if cfg.warmdown_frac <= 0:
        return 1.0
    return min(1.0, max((1 - frac) / cfg.warmdown_frac, cfg.min_lr))


def muon_momentum(cfg: Config, step: int, frac: float) -> float:
    """Momentum on its way from MUON_MOMENTUM_WARMUP_START, by steps or by share of the clock."""
    if cfg.muon_momentum_warmup_frac > 0:
        way = min(1.0, frac / cfg.muon_momentum_warmup_frac)
    else:
        way = min(1.0, step / cfg.muon_momentum_warmup_steps) if cfg.muon_momentum_warmup_steps else 1.0
    return cfg.muon_momentum_warmup_start + way * (cfg.muon_momentum - cfg.muon_momentum_warmup_start)
