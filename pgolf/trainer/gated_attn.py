"""Gated attention: each head's output times σ(W n), n the whole branch input."""

import torch
from torch import Tensor, nn

from pgolf.trainer.config import Config
from pgolf.trainer.primitives import head_gates


class GatedAttention(nn.Module):
    def __init__(self, cfg: Config):
        super().__init__()
        self.heads = nn.Parameter(torch.randn(cfg.num_heads, cfg.model_dim) * cfg.gated_attn_init_std)

    def forward(self, n: Tensor) -> Tensor:
        return head_gates(n, self.heads)
