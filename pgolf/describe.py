"""Describe a preset's model before anything is trained: parameters, arithmetic, and the size to expect."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch.overrides import TorchFunctionMode

from pgolf import presets
from pgolf.trainer.config import Knob
from pgolf.trainer.model import GPT
from pgolf.trainer.optim import bank_of
from pgolf.trainer.quantize import grid

GAUSSIAN_BITS = 0.5 * math.log2(2 * math.pi * math.e)  # differential entropy of a standard normal
# Brotli 11 on the integers of a pr1493 model, its fp16 parts taken off at raw size; ans from `bench/artifact.py`
OVER_ENTROPY = {"brotli": 1.0088, "ans": 0.9862}


@dataclass(frozen=True)
class Description:
    """Parameters by group, floating-point operations of training on one token (forward and backward, loops on), and
    bytes of the compressed model if its weights are Gaussian."""

    parameters: int
    parameters_by_group: dict[str, int]
    flops_per_token: int
    artifact_bytes_projected: int


class NoInitialWeights(TorchFunctionMode):
    """Weights stay as they are allocated; device meta would do, but imports all of torch.compile, for seconds."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init":
            return None
        return func(*args, **(kwargs or {}))


class Unmade(GPT):
    """The model without its own initial weights, which take half a minute to make orthogonal."""

    def _init_weights(self) -> None:
        return


def describe(knobs: Mapping[str, Knob]) -> Description:
    """Build the model that these knobs make (as `presets.load` gives them), without any weights, and count.

    Examples
    --------
    >>> describe(presets.load("pr1493")).parameters
    35944536
    """
    cfg = presets.config_of(knobs)
    with NoInitialWeights():
        model = Unmade(cfg)
    groups = {"embedding": 0, "attention": 0, "mlp": 0, "small": 0}
    flops, integer_bits, half_bits = 0.0, 0.0, 0.0
    quantised: list[tuple[int, int, int]] = []
    left, right = model.virtual_order(cfg.num_loops > 0)
    visits = left + right
    for name, p in model.named_parameters():
        bank, n = bank_of(name), p.numel()
        group = {"tok_emb": "embedding", "small": "small"}.get(bank) or bank.split(".")[0].replace("attn", "attention")
        groups[group] += n
        if bank == "small":
            half_bits += 16 * n
            continue
        times = 1 if bank == "tok_emb" else visits.count(int(name.split(".")[1]))
        flops += 6 * n * times
        if n <= cfg.passthrough_numel:
            half_bits += 16 * n
            continue
        width, sigmas, _ = grid(name, cfg)
        step = sigmas / (2 ** (width - 1) - 1)  # in standard deviations of a row
        integer_bits += n * (GAUSSIAN_BITS - math.log2(step))
        half_bits += 16 * p.shape[0]  # the rows' scales
        quantised.append((n, *p.shape))
    if cfg.lqer_enabled:  # of the largest matrices, whose errors are mostly the largest
        a_bits, b_bits = (2, 4) if cfg.lqer_asym_enabled else (cfg.lqer_factor_bits,) * 2
        for _, rows, cols in sorted(quantised)[-cfg.lqer_top_k or len(quantised) :]:
            integer_bits += cfg.lqer_rank * (a_bits * rows + b_bits * cols)
    # scores and their use: 2 products of head size × T/2 keys, forward once and backward twice; within documents a
    # position sees fewer, how many depends on the text
    flops += len(visits) * 6 * cfg.train_seq_len * cfg.model_dim
    projected = (integer_bits * OVER_ENTROPY.get(cfg.compressor, 1.0) + half_bits) / 8
    return Description(sum(groups.values()), groups, int(flops), int(projected))
