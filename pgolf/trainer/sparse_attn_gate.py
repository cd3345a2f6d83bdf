"""The sparse attention gate: each head's output times σ(scale·logit), read off a few dims of the branch input."""

import torch
from torch import Tensor, nn

from pgolf.trainer.config import Config
from pgolf.trainer.primitives import head_gates


class SparseGate(nn.Module):
    """As the record has it there is no factor 2: every head starts at a half."""

    def __init__(self, cfg: Config):
        super().__init__()
        self.scale = cfg.sparse_attn_gate_scale or 1.0
        self.heads = nn.Parameter(torch.zeros(cfg.num_heads, cfg.gate_window))
        if cfg.sparse_attn_gate_init_std > 0:
            nn.init.normal_(self.heads, std=cfg.sparse_attn_gate_init_std)

    def forward(self, n: Tensor) -> Tensor:
        return head_gates(n, self.scale * self.heads)
