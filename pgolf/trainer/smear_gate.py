"""SmearGate: each token's raw embedding takes up some of its predecessor's, never across a document's start."""

import torch
from torch import Tensor, nn

from pgolf.trainer.config import BOS, Config
from pgolf.trainer.primitives import linear


class SmearGate(nn.Module):
    """e_t + λ·σ(w·e_t[:GATE_WINDOW])·e_{t−1}; a BOS and position 0 stay as they are."""

    def __init__(self, cfg: Config):
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(1, cfg.gate_window))
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, e: Tensor, tokens: Tensor) -> Tensor:
        """e `[B, T, D]` of tokens `[B, T]`, before its norm."""
        here = e[:, 1:]
        share = linear(here[..., : self.gate.shape[1]], self.gate).sigmoid() * self.scale.to(e.dtype)
        smeared = here + share * (tokens[:, 1:, None] != BOS) * e[:, :-1]
        return torch.cat([e[:, :1], smeared], 1)
