"""MIXED_BITS: a step for every row by what its rounding errors cost, instead of by its standard deviation.

Rounding a row of a matrix with step Δ costs about Δ²·g·d nats: d is the part of its inputs that earlier columns do
not predict, the geometric mean of D in H = A·D·Aᵀ, since GPTQ makes up for the rest; g is the mean square of the
loss's gradient at the row's output, measured with labels drawn from the model's own predictions (the Fisher
information). For a given number of bits the loss is least where all weights cost the same: Δ ∝ (g·d)^−½, over rows,
layers and roles alike. So bits go where they matter, up to the 8 of an integer, and the coder takes no more than the
integers have. Since g is measured on little text, a quarter of the logarithm is SDClip's: Δ ∝ (g·d)^−⅜ std^¼.

Clip widths and *_BITS then set the steps of a group, all by one factor; of the whole model the geometric mean is
SDClip's. The file is larger than with SDClip at the same widths, and far better than with SDClip at its size.
"""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from pgolf.trainer.head import rows_at_once, softcapped, training_loss
from pgolf.trainer.model import GPT

PIECES = 4  # of a calibration batch: each has a gradient of its own
POWER = 0.75  # of the sensitivity in a step; the rest is the row's standard deviation
FAINTEST = 1e-4  # of a matrix's mean sensitivity: what a row has at least


def drawn(model: GPT, states: Tensor) -> Tensor:
    """A label for each of the states `[n, D]`, from the model's own distribution."""
    parts = states.split(rows_at_once(model.cfg.vocab_size))
    logits = (softcapped(x, model.tok_emb.weight, model.cfg.logit_softcap) for x in parts)
    return torch.cat([torch.multinomial(z.softmax(-1), 1)[:, 0] for z in logits])


class Probe:
    """Called on calibration text instead of the model; sums the squares of each matrix's gradients, row by row."""

    def __init__(self, model: GPT):
        self.model = model
        self.squares = {n: torch.zeros(len(p), device=p.device) for n, p in model.named_parameters() if p.ndim == 2}

    def __call__(self, tokens: Tensor) -> None:
        for x in tokens.chunk(PIECES):
            with torch.enable_grad():
                states = self.model(x)
                labels = drawn(self.model, states.detach().flatten(0, 1)).view_as(x)
                loss = training_loss(self.model, states, labels)
                wanted = [self.model.get_parameter(name) for name in self.squares]
                gradients = torch.autograd.grad(loss, wanted, allow_unused=True)
            for total, g in zip(self.squares.values(), gradients, strict=True):
                if g is not None:
                    total += g.float().square().sum(1)

    @torch.no_grad()
    def finish(self, hessians: dict[str, Tensor], damp: float, world: int) -> dict[str, Tensor]:
        """`<name>.rows` → what stands for the standard deviations `[rows]`, of each matrix that has a Hessian."""
        logs, std, weights, excess = {}, {}, 0, 0.0
        for name, h in hessians.items():
            squares = self.squares[name]
            if world > 1:
                dist.all_reduce(squares)
            std[name] = self.model.get_parameter(name).float().std(-1)
            h = h + damp * h.diagonal().mean() * torch.eye(len(h), device=h.device)
            log_d = torch.linalg.slogdet(h)[1] / len(h)
            rows = (squares.clamp_min(FAINTEST * squares.mean()).log() - h.trace().log() + log_d) / -2
            rows = torch.lerp(std[name].log(), rows, POWER)
            alive = std[name] > 0
            if bool(rows[alive].isfinite().all() & alive.any()):
                logs[name] = rows
                weights += int(alive.sum()) * len(h)
                excess += float((rows - std[name].log())[alive].sum(dtype=torch.float64)) * len(h)
        # a matrix of which this says nothing keeps its standard deviations
        known = {name: (rows - excess / weights).exp() for name, rows in logs.items()}
        return {f"{name}.rows": rows for name, rows in (std | known).items()}


def steps(rows: Sequence[Tensor], weight: Tensor, step: float) -> Tensor:
    """Steps `[n, rows]` of matrices `[n, rows, cols]`; none so fine that an integer of 8 bits would be clipped."""
    finest = weight.float().abs().amax(-1) / 100  # of 127: other columns' errors and the step's rounding want room
    return torch.maximum(torch.stack(list(rows)) * step, finest)
