"""Two lanes: from block PARALLEL_START_LAYER on attention reads and skips join one stream, the MLP reads another."""

import torch
from torch import Tensor, nn

from pgolf.trainer.config import Config
from pgolf.trainer.model import GPT, Rope


class TwoLanes(nn.Module):
    """Each block reads both lanes before it adds to either: u = r₀u + p₀₀A + p₁₀M, v = r₁v + p₀₁A + p₁₁M."""

    def __init__(self, cfg: Config):
        super().__init__()
        # every block has a row, as in the record, the sequential ones too
        self.resid = nn.Parameter(torch.full((cfg.num_layers, 2), 1.1))
        self.post = nn.Parameter(torch.ones(cfg.num_layers, 2, 2))  # source (attention, MLP), lane
        self.final = cfg.parallel_final_lane

    def forward(
        self, model: GPT, at: int, skips: list[Tensor], x: Tensor, x0: Tensor, rope: Rope, first: int
    ) -> Tensor:
        """The right part from its place `at` to the end: states `[B, T, D]` to `[B, T − first, D]`."""
        _, right = model.virtual_order(model.looping)
        u = v = x
        for j in range(at, len(right)):
            block, r, p = model.blocks[right[j]], self.resid[right[j]].to(x.dtype), self.post[right[j]].to(x.dtype)
            if skips:
                u = model._join(j, skips.pop(), u)
            start = first if j == len(right) - 1 else 0
            attn = block.attention(block.mixed(u, x0), rope, start)
            u, v = u[:, start:], v[:, start:]
            mlp = block.feed_forward(v)
            u, v = (r[lane] * x + p[0, lane] * attn + p[1, lane] * mlp for lane, x in enumerate((u, v)))
        return {"attn": u, "mlp": v}.get(self.final, (u + v) / 2)
