"""FIT_TO_CAP: the clip widths with the least loss on unseen training text whose file fits under SIZE_CAP.

A clip width of k standard deviations makes the step Δ ∝ k. Around a good width a group of n weights then takes
n·log2(k) bits less and loses c·k² more, so at the best widths for a size c·k²/n, what a weight loses, is the same in
every group. One quantisation with a group coarser gives its c. Sizes are projected; the file is packed at the end.
"""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.distributed as dist
from torch import Tensor

from pgolf.trainer.codec import Tensors
from pgolf.trainer.config import Config
from pgolf.trainer.head import token_losses
from pgolf.trainer.loop import TrainerRun
from pgolf.trainer.model import GPT
from pgolf.trainer.quantize import grid, quantise, restore
from pgolf.trainer.score import rows_that_fit

GROUPS = {"embed_clip_sigmas": "tok_emb.", "attn_clip_sigmas": "blocks.attn.", "mlp_clip_sigmas": "blocks.mlp."}
COARSER = 1.25  # what a group's width is multiplied by to see what it loses
NARROWEST = 6.0  # standard deviations; narrower, more weights are clipped than finer steps make good
BROTLI_OVER_ENTROPY, BROTLI_HALF = 1.009, 1.3  # a full-size model's integers; bytes of an fp16 value

Measure = Callable[
    [Config], tuple[float, float]
]  # projected bytes of the model, and its loss, or NaN for one not taken


def widths_of(cfg: Config) -> dict[str, float]:
    """The clip width of each of GROUPS."""
    return {knob: grid(prefix, cfg)[1] for knob, prefix in GROUPS.items()}


def search(cfg: Config, weights: dict[str, int], measure: Measure, room: float, log: Callable[[str], object]) -> Config:
    """`cfg` with the clip widths of least loss whose projected size is at most `room` bytes, and at most 0.05 % less
    where widths of NARROWEST allow that. `weights` counts the integers of each of GROUPS. Without losses (NaN), or
    where groups gain nothing by differing, all widths change by one factor; without integers nothing changes."""
    if not weights:
        return cfg
    least = {knob: min(k, NARROWEST) for knob, k in widths_of(cfg).items()}
    total = sum(weights.values())

    def sized(wanted: dict[str, float]) -> tuple[Config, float]:
        """These widths times the factor that makes them fit, and their loss (infinite if none does)."""
        widths: dict[str, float] = {}
        for _ in range(8):
            before, widths = widths, {knob: round(max(least[knob], k), 4) for knob, k in wanted.items()}
            found = replace(cfg, **widths)  # type: ignore[arg-type]  # knobs that are floats
            size, loss = measure(found)
            measured = "" if math.isnan(loss) else f" loss: {loss:.5f}"
            log(f"fit: {widths} projected: {size:.0f} of {room:.0f} bytes{measured}")
            octaves = 8 * (size - 0.99975 * room) / total
            if size <= room and (size >= 0.9995 * room or widths == before):
                return found, loss
            wanted = {knob: k * 2 ** min(max(octaves, -2), 2) for knob, k in widths.items()}
        return found, math.inf

    even, even_loss = sized(widths_of(cfg))
    benefit = {}
    for knob, n in weights.items():
        _, loss = measure(replace(even, **{knob: COARSER * widths_of(even)[knob]}))  # type: ignore[arg-type]
        benefit[knob] = 0.5 * math.log(n / max(loss - even_loss, 1e-9))
    if any(map(math.isnan, benefit.values())):
        return even
    mean = sum(n * benefit[knob] for knob, n in weights.items()) / total
    ratio = {knob: math.exp(min(max(b - mean, -0.4), 0.4)) for knob, b in benefit.items()}
    fitted, loss = sized({knob: k * ratio.get(knob, 1) for knob, k in widths_of(even).items()})
    return fitted if loss < even_loss else even


@torch.no_grad()
def mean_loss(model: GPT, tensors: Tensors, x: Tensor, y: Tensor) -> Tensor:
    """Loss in nats of the model that `tensors` make (they are put into `model`), at targets y `[B, T]` of x."""
    restore(model, tensors)
    rows = max(1, rows_that_fit(model.cfg, x.device) // x.shape[1])
    parts = zip(x.split(rows), y.split(rows), strict=True)
    return torch.cat([token_losses(model, model(a).flatten(0, 1), b.flatten())[0] for a, b in parts]).mean()


def projected_bytes(tensors: Tensors, pack: Callable[[Tensors], bytes], codec: str) -> float:
    """Size of the model's file: packed where that takes a second (`ans`), else from the entropy of each matrix."""
    if codec == "ans":
        return len(pack(tensors))
    total = 0.0
    for held in tensors.values():
        for q in held[0] if isinstance(held, tuple) else []:
            p = torch.bincount(q.flatten().int() + 128, minlength=256) / q.numel()
            total += BROTLI_OVER_ENTROPY * q.numel() / 8 * float(-(p * p.clamp_min(1e-12).log2()).sum())
        total += BROTLI_HALF * (held[1] if isinstance(held, tuple) else held).numel()
    return total


def integers_of(tensors: Tensors) -> dict[str, int]:
    """How many integers each of GROUPS has, those that have any."""
    counts = {
        knob: sum(t[0].numel() for role, t in tensors.items() if role.startswith(prefix) and isinstance(t, tuple))
        for knob, prefix in GROUPS.items()
    }
    return {knob: n for knob, n in counts.items() if n}


def fit_to_cap(
    cfg: Config,
    model: GPT,
    hessians: dict[str, Tensor],
    text: tuple[Tensor, Tensor],
    pack: Callable[[Tensors], bytes],
    code: int,
    log: Callable[[str], object],
    run: TrainerRun | None = None,
    seconds: float = math.inf,
) -> tuple[Config, Tensors, bytes]:
    """The knobs found, their tensors and (on rank 0) the artifact.

    `text` is this rank's unseen inputs and targets `[B, T]`, on which losses are taken as long as `seconds` last;
    `pack` makes an artifact of tensors, `code` is the bytes of code beside it.
    """
    rank, world, agree = (run.rank, run.world, run.agree) if run else (0, 1, float)
    trial, took = copy.deepcopy(model), 0.0
    kept: dict[tuple[str, int, float, float], tuple[Tensor, Tensor]] = {}
    trial.looping = cfg.num_loops > 0
    deadline = time.perf_counter() + seconds

    def quantised(cfg: Config) -> Tensors:
        return quantise(model, hessians, cfg, rank, world, log, kept)

    def size(tensors: Tensors) -> float:
        return agree(projected_bytes(tensors, pack, cfg.compressor) if rank == 0 else 0.0)

    def measure(cfg: Config) -> tuple[float, float]:
        nonlocal took
        started = time.perf_counter()
        tensors = quantised(cfg)
        n_bytes = size(tensors)
        if agree(float(time.perf_counter() + 1.5 * took > deadline)):
            return n_bytes, math.nan
        loss = mean_loss(trial, tensors, *text)
        if world > 1:
            dist.all_reduce(loss)
        took = time.perf_counter() - started
        return n_bytes, loss.item() / world

    weights, room = integers_of(quantised(cfg)), cfg.size_cap - cfg.size_margin - code
    found, best = search(cfg, weights, measure, room, log), None
    for _ in range(4):  # again where the projection was wrong: by the difference, all widths alike
        tensors = quantised(found)
        blob = pack(tensors) if rank == 0 else b""
        left = cfg.size_cap - code - int(agree(len(blob)))
        log(f"fit: packed, {widths_of(found)} leave {left} bytes of the cap")
        quality = (left >= 0, -abs(left))
        if best is None or quality > best[0]:
            best = (quality, found, tensors, blob)
        if 0 <= left <= cfg.size_margin + room / 500:
            break
        aim = size(tensors) + left - cfg.size_margin
        again = search(found, weights, lambda cfg: (size(quantised(cfg)), math.nan), aim, log)
        if again == found:
            break
        found = again
    return best[1:]  # type: ignore[index]
