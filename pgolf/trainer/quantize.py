"""GPTQ with SDClip: integers and one fp16 scale a row, chosen to keep the outputs on calibration text.

Hessians are H = Σ x xᵀ of each matrix's input. Columns go in order of falling diag(H); each one is rounded and its
error, weighted by the upper Cholesky factor of H⁻¹, is passed on to the columns after it (Frantar et al.,
arXiv:2210.17323). SDClip sets the clip width to k standard deviations of the row.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pgolf.trainer.codec import ArtifactError, Tensors
from pgolf.trainer.config import Config
from pgolf.trainer.model import GPT


class Hessians:
    """H = Σ x xᵀ of every matrix's input while open; q, k and v share theirs. Each is float32 `[cols, cols]`.

    Only tiles on or above the diagonal are accumulated, half of the work; `finish` mirrors them.
    """

    TILE = 256

    def __init__(self, model: GPT):
        self.sums: dict[str, Tensor] = {}
        self.hooks = []
        for i, block in enumerate(model.blocks):
            for name, module in (
                ("attn.c_q", block.attn),
                ("attn.proj", block.attn.proj),  # type: ignore[union-attr]  # a ModuleList says only that it has modules
                ("mlp.fc", block.mlp),
                ("mlp.proj", block.mlp.proj),  # type: ignore[union-attr]
            ):
                key = f"blocks.{i}.{name}.weight"
                self.hooks.append(module.register_forward_pre_hook(self._taker(key)))  # type: ignore[union-attr]
        self.hooks.append(model.register_forward_hook(lambda m, args, out: self._add("tok_emb.weight", out)))

    def _taker(self, key: str) -> Callable[[nn.Module, Any], None]:
        return lambda module, args: self._add(key, args[0])

    @torch.no_grad()
    def _add(self, key: str, x: Tensor) -> None:
        x = x.detach().flatten(0, -2).float()
        cols = x.shape[1]
        if key not in self.sums:
            self.sums[key] = torch.zeros(cols, cols, device=x.device)
        for i in range(0, cols, self.TILE):
            rows = slice(i, i + self.TILE)
            self.sums[key][rows, i:].addmm_(x[:, rows].t(), x[:, i:])

    def finish(self, world: int) -> dict[str, Tensor]:
        """Sum over ranks, mirror, and give every matrix its Hessian."""
        for hook in self.hooks:
            hook.remove()
        for h in self.sums.values():
            if world > 1:
                dist.all_reduce(h)
            h.copy_(h.triu() + h.triu(1).t())
        full = dict(self.sums)
        for key, h in self.sums.items():
            if key.endswith("c_q.weight"):
                full[key.replace("c_q", "c_k")] = full[key.replace("c_q", "c_v")] = h
        return full


def coarse(x: Tensor, mantissa_bits: int) -> Tensor:
    """fp16 of x, rounded to so many of its 10 mantissa bits: nearly logarithmic steps, 2^mantissa_bits an octave."""
    drop = 10 - mantissa_bits
    bits = x.clamp(-65504, 65504).half().view(torch.int16).int()
    most = 0x7BFF >> drop << drop
    magnitude = ((bits & 0x7FFF) + (1 << drop >> 1) >> drop << drop).clamp_(max=most)
    return (magnitude | bits & -0x8000).to(torch.int16).view(torch.float16)


def row_scale(weight: Tensor, bits: int, sigmas: float, mantissa_bits: int = 10, power: float = 1.0) -> Tensor:
    """SDClip: fp16 step of each row, k·std / (2^(bits−1) − 1); weight `[..., rows, cols]` to `[..., rows]`.

    With a `power` below 1 it goes with std^power, the matrix's mean square std as before; 0 is one step for all rows.
    """
    std = weight.float().std(dim=-1)
    std = std**power * std.square().mean(-1, keepdim=True) ** (0.5 - power / 2)
    return coarse(std * (sigmas / (2 ** (bits - 1) - 1)), mantissa_bits)


def feedback(h: Tensor, damp: float, log: Callable[[str], object]) -> Tensor:
    """How a column takes up the errors of those before it: unit upper triangular A with A·D·Aᵀ = H + damping.

    One Cholesky factor of H itself, from its last column to its first. Equal in effect to the factor of H⁻¹ that GPTQ
    is written with (Chee et al., arXiv:2307.13304, theorem 6), a quarter of the work, and nothing is inverted.
    Damping is `damp` of the mean diagonal, ten times more for each failure, which is logged; where nothing helps, or H
    is not finite, A is the identity: plain rounding.
    """
    mean = h.diagonal().mean()
    if not bool(torch.isfinite(h).all()):
        log("Hessian is not finite, rounding plainly")
        return torch.eye(len(h), device=h.device)
    for _ in range(8):
        flipped = h.flip(0, 1)
        flipped.diagonal().add_(damp * mean)
        lower, failed = torch.linalg.cholesky_ex(flipped)
        if not failed:
            upper = lower.flip(0, 1)
            return upper / upper.diagonal()
        log(f"Hessian is singular at damping {damp:g}, trying {10 * damp:g}")
        damp *= 10
    log("Hessian stays singular, rounding plainly")
    return torch.eye(len(h), device=h.device)


@torch.no_grad()
def gptq(
    weight: Tensor,
    hessian: Sequence[Tensor],
    bits: int,
    sigmas: float,
    cfg: Config,
    log: Callable[[int, str], object] = print,
    power: float = 1.0,
    rows: Sequence[Tensor] = (),
) -> tuple[Tensor, Tensor]:
    """Quantise matrices of one shape together.

    Parameters
    ----------
    weight : `[n, rows, cols]`.
    hessian : n of `[cols, cols]`.
    bits, sigmas : integer width, and clip width in standard deviations of a row.
    log : is told the number of a matrix whose Hessian needs more damping or is of no use, and which.
    power : of the rows' standard deviations, see `row_scale`.
    rows : with MIXED_BITS n of `[rows]`, what stands for the standard deviations; integers then have 8 bits' range.

    Returns
    -------
    int8 `[n, rows, cols]` and fp16 scales `[n, rows]`: weight ≈ integers · scale.
    """
    scale = row_scale(weight, bits, sigmas, cfg.scale_mantissa_bits, power)
    if cfg.mixed_bits_enabled and rows:
        from pgolf.trainer.mixed_bits import steps

        scale = coarse(steps(rows, weight, sigmas / (2 ** (bits - 1) - 1)), cfg.scale_mantissa_bits)
        bits = 8
    diagonal = torch.stack([h.diagonal() for h in hessian]).float()
    dead = diagonal == 0
    order = torch.argsort(diagonal, dim=-1, descending=True, stable=True)
    factors = []
    for i, (h, by_size) in enumerate(zip(hessian, order, strict=True)):
        h = h.float()[by_size][:, by_size]
        h.diagonal().add_(dead[i][by_size])
        factors.append(feedback(h, cfg.gptq_damp, partial(log, i)))
    w = weight.float().mT.masked_fill(dead[..., None], 0.0)  # [n, cols, rows]: a column's weights lie together
    each = torch.arange(len(w), device=w.device)[:, None]
    integers = torch.empty(w.shape, dtype=torch.int8, device=w.device)
    integers[each, order] = round_in_turn(w[each, order], torch.stack(factors), scale.float(), bits)
    return integers.mT.contiguous(), scale


def round_in_turn(w: Tensor, a: Tensor, scale: Tensor, bits: int) -> Tensor:
    """Integers of columns rounded one after the other, each to make up for the errors before it.

    w `[n, cols, rows]` is used up, a `[n, cols, cols]` from `feedback`, scale `[n, rows]`. Halves are done in turn and
    the first half's errors reach the second in one product: the sums of the column-by-column form, as matrix products.
    """
    limit = 2 ** (min(bits, 8) - 1) - 1  # an integer has a byte
    divisor = torch.where(scale > 0, scale, torch.inf)  # a zero scale gives zeros
    q, error = torch.empty_like(w, dtype=torch.int8), w.clone()

    def solve(first: int, end: int) -> None:
        if end - first == 1:
            rounded = (w[:, first] / divisor).round_().clamp_(-limit, limit)
            q[:, first] = rounded
            error[:, first].addcmul_(rounded, scale, value=-1)
            return
        middle = (first + end) // 2
        solve(first, middle)
        w[:, middle:end].baddbmm_(a[:, first:middle, middle:end].mT, error[:, first:middle])
        solve(middle, end)

    solve(0, w.shape[1])
    return q


def grid(name: str, cfg: Config) -> tuple[int, float, float]:
    """(bits, clip width in standard deviations, power of them) of a matrix."""
    if name.startswith("tok_emb"):
        return cfg.embed_bits, cfg.embed_clip_sigmas, cfg.embed_scale_power
    attn, mlp = (cfg.attn_bits, cfg.attn_clip_sigmas), (cfg.mlp_bits, cfg.mlp_clip_sigmas)
    bits, sigmas = attn if ".attn." in name else mlp
    return bits or cfg.matrix_bits, sigmas or cfg.matrix_clip_sigmas, 1.0


def quantise(
    model: GPT,
    hessians: dict[str, Tensor],
    cfg: Config,
    rank: int,
    world: int,
    log: Callable[[str], object] = print,
    kept: dict[tuple[str, int, float, float], tuple[Tensor, Tensor]] | None = None,
) -> Tensors:
    """The artifact's tensors by role: layers stacked, `blocks.attn.c_q.weight` → (int8 `[L, r, c]`, fp16 `[L, r]`) for
    matrices above PASSTHROUGH_NUMEL elements, one fp16 tensor for the rest. Ranks share the matrices; every rank logs
    what any of them has to say. `kept`, if given, remembers what was quantised at which bits and widths."""
    result: Tensors = {}
    kept = {} if kept is None else kept
    notes: list[str] = []
    for role, names in roles(model).items():
        weight = torch.stack([model.get_parameter(name).detach() for name in names])
        if weight[0].numel() <= cfg.passthrough_numel or names[0] not in hessians:
            result[role] = coarse(weight, cfg.passthrough_mantissa_bits)
            continue
        bits, sigmas, power = grid(role, cfg)
        key = role, bits, sigmas, power
        if key in kept:
            result[role] = kept[key]
            continue
        q = torch.zeros(weight.shape, dtype=torch.int8, device=weight.device)
        scale = torch.zeros(weight.shape[:2], dtype=torch.float16, device=weight.device)
        mine, own = slice(rank, None, world), names[rank::world]
        if own:

            def note(i: int, text: str, own: list[str] = own) -> None:
                notes.append(f"GPTQ: {own[i]}: {text}")

            rows = [hessians[f"{n}.rows"] for n in own] if cfg.mixed_bits_enabled else []
            q[mine], scale[mine] = gptq(weight[mine], [hessians[n] for n in own], bits, sigmas, cfg, note, power, rows)
        if world > 1:
            dist.all_reduce(q)
            dist.all_reduce(scale)
        result[role] = kept[key] = (q, scale)
    everyone = [notes] * world
    if world > 1:
        dist.all_gather_object(everyone, notes)
    for said in everyone:
        for text in said:
            log(text)
    if cfg.lqer_enabled:
        from pgolf.trainer.lqer import repairs

        result |= repairs(model, result, cfg, rank, world)
    return result


def roles(model: GPT) -> dict[str, list[str]]:
    """'blocks.attn.c_q.weight' → the parameters of that role in layer order; a tensor outside the blocks is alone."""
    found: dict[str, list[str]] = {}
    for name, _ in model.named_parameters():
        parts = name.split(".")
        role = ".".join(parts[:1] + parts[2:]) if parts[0] == "blocks" else name
        found.setdefault(role, []).append(name)
    return found


@torch.no_grad()
def restore(model: GPT, tensors: Tensors) -> None:
    """Put an artifact's tensors into the model; ArtifactError where names or shapes are not the model's."""
    wanted = roles(model)
    if wanted.keys() < tensors.keys():  # and factors
        from pgolf.trainer.lqer import repaired

        tensors = repaired(tensors)
    if wanted.keys() != tensors.keys():
        raise ArtifactError(f"artifact and model differ in {sorted(wanted.keys() ^ tensors.keys())}")
    for role, names in wanted.items():
        held = tensors[role]
        value = held[0].float() * held[1].float()[..., None] if isinstance(held, tuple) else held.float()
        shape = (len(names), *model.get_parameter(names[0]).shape)
        if value.shape != shape:
            raise ArtifactError(f"{role}: artifact has shape {tuple(value.shape)}, the model {shape}")
        for name, v in zip(names, value, strict=True):
            model.get_parameter(name).copy_(v)
