"""LQER: a product of two thin matrices corrects the largest rounding errors (Zhang et al., arXiv:2402.02446).

Of all quantised matrices the LQER_TOP_K of largest ‖E‖, E = W − Ŵ, get the LQER_RANK strongest components of E as
A·B: A = U·S on 2 bits and one scale, B = Vᵀ on 4 bits and a scale for each LQER_ASYM_GROUP elements; or, where the
group does not divide B, both on LQER_FACTOR_BITS and a scale a row. They are 'q' tensors of the artifact like any
other, `lqer.a.<layer>.<role>` and `lqer.b.…`. A matrix that a coarse A and B would make worse goes without.
"""

import math

import torch
import torch.distributed as dist
from torch import Tensor

from pgolf.trainer.codec import ArtifactError, Tensors
from pgolf.trainer.config import Config
from pgolf.trainer.model import GPT

Held = tuple[Tensor, Tensor]  # int8 `[1, n, group]` and fp16 scales `[1, n]`
MAX_RANK = 64


def dense(held: Tensor | Held) -> Tensor:
    """float32 of an artifact's tensor."""
    return held[0].float() * held[1].float()[..., None] if isinstance(held, tuple) else held.float()


def stored(x: Tensor, most: Tensor, steps: float, low: int, high: int) -> Held:
    """x `[n, group]` in integers from `low` to `high`; `most` `[n]`, the largest of a row, is so many `steps`."""
    scale = (most / steps).half()
    divisor = torch.where(scale > 0, scale, torch.inf).float()[:, None]
    return (x / divisor).round_().clamp_(low, high).to(torch.int8)[None], scale[None]


def factors(error: Tensor, cfg: Config) -> tuple[Held, Held]:
    """A and B for an error `[rows, cols]`."""
    u, s, v = torch.linalg.svd(error, full_matrices=False)
    a, b = (u * s)[:, : cfg.lqer_rank], v[: cfg.lqer_rank]
    # the signs of a component are free: A's integers reach further down than up
    sign = -a.gather(0, a.abs().argmax(0, keepdim=True)).sign()
    a, b, group = a * sign, b * sign.t(), cfg.lqer_asym_group
    if cfg.lqer_asym_enabled and b.numel() % group == 0:
        a, b = a.reshape(-1, math.gcd(a.numel(), group)), b.reshape(-1, group)
        return stored(a, a.abs().amax().expand(len(a)), 1.5, -2, 1), stored(b, b.abs().amax(1), 7.5, -8, 7)
    most = 2 ** (cfg.lqer_factor_bits - 1) - 1
    return stored(a, a.abs().amax(1), most, -most, most), stored(b, b.abs().amax(1), most, -most, most)


def product(a: Tensor | Held, b: Tensor | Held, rows: int, cols: int) -> Tensor:
    """A·B in float32 `[rows, cols]`; ArtifactError if they are no such factors."""
    a, b = dense(a), dense(b)
    rank, left = divmod(a.numel(), rows)
    if left or rank * cols != b.numel() or rank > MAX_RANK:
        raise ArtifactError(f"lqer: {a.numel()} and {b.numel()} values, no factors of {rows} × {cols} of small rank")
    return a.view(rows, rank) @ b.view(rank, cols)


@torch.no_grad()
def repairs(model: GPT, tensors: Tensors, cfg: Config, rank: int, world: int) -> Tensors:
    """Factors for what `tensors` make of the model's weights: rank 0's, on the CPU of all ranks."""
    found: Tensors = {}
    if rank == 0:
        errors = {
            (i, role): model.get_parameter(role.replace("blocks.", f"blocks.{i}.")).detach().float() - values
            for role, held in tensors.items()
            if isinstance(held, tuple)
            for i, values in enumerate(dense(held))
        }
        size = {key: float(e.norm()) for key, e in errors.items()}
        for i, role in sorted(size, key=lambda key: -size[key])[: cfg.lqer_top_k]:
            error = errors[i, role]
            a, b = factors(error, cfg)
            if (error - product(a, b, *error.shape)).norm() < size[i, role]:
                found[f"lqer.a.{i}.{role}"], found[f"lqer.b.{i}.{role}"] = (tuple(x.cpu() for x in h) for h in (a, b))  # type: ignore[assignment]  # pairs
    shared = [found]
    if world > 1:
        dist.broadcast_object_list(shared)
    return shared[0]


def repaired(tensors: Tensors) -> Tensors:
    """`tensors` with their factors taken in, float32 where there are any; ArtifactError for factors of no matrix."""
    whole = {name: held for name, held in tensors.items() if not name.startswith("lqer.")}
    unused = tensors.keys() - whole.keys()
    for role, held in [(role, held) for role, held in whole.items() if isinstance(held, tuple)]:
        layers, rows, cols = held[0].shape
        for i in range(layers):
            names = [f"lqer.{side}.{i}.{role}" for side in "ab"]
            if unused.issuperset(names):
                whole[role] = value = dense(whole[role])
                pair = (tensors[name] for name in names)
                value[i] += product(*pair, rows, cols).to(value.device)  # type: ignore[call-arg, arg-type]
                unused -= set(names)
    if unused:
        raise ArtifactError(f"factors of no matrix: {sorted(unused)}")
    return whole
