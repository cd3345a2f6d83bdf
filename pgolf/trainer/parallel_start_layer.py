"""Two lanes: from block PARALLEL_START_LAYER on attention reads and skips join one stream, the MLP reads another."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pgolf.trainer.config import Config
from pgolf.trainer.primitives import Rope


class TwoLanes(nn.Module):
    """Each block reads both lanes before it adds to either: u = r₀u + p₀₀A + p₁₀M, v = r₁v + p₀₁A + p₁₁M."""

    def __init__(self, cfg: Config):
        super().__init__()
        # every block has a row, as in the record, the sequential ones too
        self.resid = nn.Parameter(torch.full((cfg.num_layers, 2), 1.1))
        self.post = nn.Parameter(torch.ones(cfg.num_layers, 2, 2))  # source (attention, MLP), lane
        self.final = cfg.parallel_final_lane

    def forward(
        self,
        blocks: nn.ModuleList,
        way: list[tuple[int, int]],
        join: Callable[[int, Tensor], Tensor],
        x: Tensor,
        x0: Tensor,
        rope: Rope,
        first: int,
    ) -> Tensor:
        """The rest of the right part, `way` in (row of the skip weights, number of the block): states `[B, T, D]` to
        `[B, T − first, D]`. `join` adds a row's skip to a lane."""
        u = v = x
        for row, i in way:
            block, r, p = blocks[i], self.resid[i].to(x.dtype), self.post[i].to(x.dtype)
            u = join(row, u)
            start = first if (row, i) == way[-1] else 0
            attn = block.attention(block.mixed(u, x0), rope, start)  # type: ignore[operator]  # blocks are Blocks
            u, v = u[:, start:], v[:, start:]
            mlp = block.feed_forward(v)  # type: ignore[operator]
            u, v = (r[lane] * x + p[0, lane] * attn + p[1, lane] * mlp for lane, x in enumerate((u, v)))
        return {"attn": u, "mlp": v}.get(self.final, (u + v) / 2)
