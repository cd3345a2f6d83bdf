"""GPTQ with SDClip: integers and one fp16 scale a row, chosen to keep the outputs on calibration text.

Hessians are H = Σ x xᵀ of each matrix's input. Columns go in order of falling diag(H); each one is rounded and its
error, weighted by the upper Cholesky factor of H⁻¹, is passed on to the columns after it (Frantar et al.,
arXiv:2210.17323). SDClip sets the clip width to k standard deviations of the row.
"""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor

from pgolf.trainer.codec import ArtifactError
from pgolf.trainer.config import Config
from pgolf.trainer.model import GPT

PANEL = 32  # columns whose errors are held back and applied together within a block


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
                ("attn.proj", block.attn.proj),
                ("mlp.fc", block.mlp),
                ("mlp.proj", block.mlp.proj),
            ):
                key = f"blocks.{i}.{name}.weight"
                self.hooks.append(module.register_forward_pre_hook(self._taker(key)))
        self.hooks.append(model.register_forward_hook(lambda m, args, out: self._add("tok_emb.weight", out)))

    def _taker(self, key: str) -> Callable:
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


def row_scale(weight: Tensor, bits: int, sigmas: float) -> Tensor:
    """SDClip: fp16 step of each row, k·std / (2^(bits−1) − 1); weight `[..., rows, cols]` to `[..., rows]`."""
    step = weight.float().std(dim=-1) * (sigmas / (2 ** (bits - 1) - 1))
    return step.clamp_(max=torch.finfo(torch.float16).max).half()


def round_to(w: Tensor, scale: Tensor, bits: int) -> Tensor:
    """Nearest integers (half to even) within ±(2^(bits−1) − 1); a zero scale gives zeros. Same shape as w, float."""
    limit = 2 ** (bits - 1) - 1
    q = torch.round(w / torch.where(scale > 0, scale, 1.0)).clamp_(-limit, limit)
    return q.mul_(scale > 0)


def inverse_factor(h: Tensor, damp: float, log: Callable[[str], None]) -> Tensor:
    """Upper Cholesky factor of (H + damping)⁻¹. Damping is `damp` of the mean diagonal, ten times more for each
    failure, which is logged; a Hessian that is not finite counts as the identity (plain rounding)."""
    if not bool(torch.isfinite(h).all()):
        log("GPTQ: a Hessian is not finite, rounding that matrix plainly")
        h = torch.eye(len(h), device=h.device)
    mean = h.diagonal().mean()
    for _ in range(12):
        damped = h.clone()
        damped.diagonal().add_(damp * mean)
        lower, failed = torch.linalg.cholesky_ex(damped)
        if not failed:
            upper, failed = torch.linalg.cholesky_ex(torch.cholesky_inverse(lower), upper=True)
        if not failed and bool(torch.isfinite(upper).all()):
            return upper
        log(f"GPTQ: Hessian is singular at damping {damp:g}, trying {10 * damp:g}")
        damp *= 10
    return torch.eye(len(h), device=h.device)


@torch.no_grad()
def gptq(
    weight: Tensor, hessian: Tensor, bits: int, sigmas: float, cfg: Config, log: Callable[[str], None] = print
) -> tuple[Tensor, Tensor]:
    """Quantise matrices of one shape together.

    Parameters
    ----------
    weight : `[n, rows, cols]`.
    hessian : `[n, cols, cols]`.
    bits, sigmas : integer width, and clip width in standard deviations of a row.

    Returns
    -------
    int8 `[n, rows, cols]` and fp16 scales `[n, rows]`: weight ≈ integers · scale.
    """
    weight, hessian = weight.float(), hessian.float().clone()
    scale = row_scale(weight, bits, sigmas)
    n = len(weight)
    diagonal = hessian.diagonal(dim1=-2, dim2=-1)
    dead = diagonal == 0
    diagonal.masked_fill_(dead, 1.0)
    w = weight.mT.masked_fill(dead[..., None], 0.0)  # [n, cols, rows]: a column's weights lie together
    order = torch.argsort(diagonal, dim=-1, descending=True, stable=True)
    each = torch.arange(n, device=weight.device)[:, None]
    w = w[each, order]
    hessian = hessian[each[..., None], order[..., None], order[:, None, :]]
    upper = torch.stack([inverse_factor(h, cfg.gptq_damp, log) for h in hessian])
    q = _solve(w, upper, scale.float(), bits, cfg.gptq_block_size)
    integers = torch.empty_like(q)
    integers[each, order] = q
    return integers.mT.to(torch.int8).contiguous(), scale


def _solve(w: Tensor, upper: Tensor, scale: Tensor, bits: int, block: int) -> Tensor:
    """Round columns in turn and pass their errors on. w `[n, cols, rows]` (consumed), upper `[n, cols, cols]`.

    Errors reach a column lazily: from its own panel when its turn comes, from earlier panels of the block and
    earlier blocks in one product each. Same sums as the column-by-column form, a fraction of the memory traffic.
    """
    cols = w.shape[1]
    q, error = torch.empty_like(w), torch.empty_like(w)
    for b in range(0, cols, block):
        b_end = min(b + block, cols)
        for p in range(b, b_end, PANEL):
            p_end = min(p + PANEL, b_end)
            if p > b:
                w[:, p:p_end].baddbmm_(upper[:, b:p, p:p_end].mT, error[:, b:p], alpha=-1)
            for j in range(p, p_end):
                column = w[:, j]
                if j > p:
                    column = column - torch.bmm(upper[:, p:j, j, None].mT, error[:, p:j])[:, 0]
                q[:, j] = round_to(column, scale, bits)
                error[:, j] = (column - q[:, j] * scale) / upper[:, j, j, None]
        if b_end < cols:
            w[:, b_end:].baddbmm_(upper[:, b:b_end, b_end:].mT, error[:, b:b_end], alpha=-1)
    return q


def grid(name: str, cfg: Config) -> tuple[int, float]:
    """(bits, clip width in standard deviations) of a matrix."""
    if name.startswith("tok_emb"):
        return cfg.embed_bits, cfg.embed_clip_sigmas
    own = cfg.attn_clip_sigmas if ".attn." in name else cfg.mlp_clip_sigmas
    return cfg.matrix_bits, own or cfg.matrix_clip_sigmas


def quantise(
    model: GPT,
    hessians: dict[str, Tensor],
    cfg: Config,
    rank: int,
    world: int,
    log: Callable[[str], None] = print,
) -> dict[str, Tensor | tuple[Tensor, Tensor]]:
    """The artifact's tensors by role: layers stacked, `blocks.attn.c_q.weight` → (int8 `[L, r, c]`, fp16 `[L, r]`) for
    matrices above PASSTHROUGH_NUMEL elements, one fp16 tensor for the rest. Ranks share the matrices."""
    result: dict[str, Tensor | tuple[Tensor, Tensor]] = {}
    for role, names in roles(model).items():
        params = [model.get_parameter(name) for name in names]
        if params[0].numel() <= cfg.passthrough_numel or names[0] not in hessians:
            result[role] = torch.stack([p.detach() for p in params]).half()
            continue
        weight = torch.stack([p.detach().float() for p in params])
        mine = list(range(rank, len(names), world))
        q = torch.zeros(weight.shape, dtype=torch.int8, device=weight.device)
        scale = torch.zeros(weight.shape[:2], dtype=torch.float16, device=weight.device)
        if mine:
            h = torch.stack([hessians[names[i]] for i in mine])
            q[mine], scale[mine] = gptq(weight[mine], h, *grid(names[0], cfg), cfg, log)
        if world > 1:
            dist.all_reduce(q)
            dist.all_reduce(scale)
        result[role] = (q, scale)
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
def restore(model: GPT, tensors: dict[str, Tensor | tuple[Tensor, Tensor]]) -> None:
    """Put an artifact's tensors into the model; ArtifactError where names or shapes are not the model's."""
    wanted = roles(model)
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
