"""The model: a looped U-Net of transformer blocks over a tied embedding. Dimensions as in `primitives`."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pgolf.trainer.blocks import MLP, Attention, Block
from pgolf.trainer.config import Config
from pgolf.trainer.primitives import Linear, Rope, causal_attention, norm, rotary_tables


class GPT(nn.Module):
    """The trunk; the tied head and its loss are in `head`."""

    def __init__(self, cfg: Config, dtype: torch.dtype = torch.float32):
        super().__init__()
        self.cfg, self.dtype, self.looping = cfg, dtype, False
        self.seen: set[tuple[int, int, int]] = set()  # what `score_windows` has run
        self.tok_emb = nn.Embedding(cfg.vocab_size, cfg.model_dim)
        if cfg.cpu_kernels:
            from pgolf.trainer.cpu_kernels import cpu_block

            self.blocks = nn.ModuleList(cpu_block(cfg, i) for i in range(cfg.num_layers))
        else:
            self.blocks = nn.ModuleList(Block(cfg, i, Attention(cfg, i), MLP(cfg)) for i in range(cfg.num_layers))
        rows = max(len(self.virtual_order(looping)[0]) for looping in (False, True))
        self.skip_weights = nn.Parameter(torch.ones(rows, cfg.model_dim))
        if cfg.skip_gates_enabled:
            self.skip_gates = nn.Parameter(torch.zeros(rows, cfg.model_dim))
        if cfg.embed_scale_enabled:
            self.embed_scale = nn.Parameter(torch.ones(1))
        if cfg.smear_gate_enabled:
            from pgolf.trainer.smear_gate import SmearGate

            self.smear = SmearGate(cfg)
        if cfg.parallel_start_layer > 0:
            from pgolf.trainer.parallel_start_layer import TwoLanes

            self.lanes = TwoLanes(cfg)
        self._init_weights()

    def virtual_order(self, looping: bool) -> tuple[list[int], list[int]]:
        """Left and right part of the U-Net as physical block numbers."""
        cfg, order = self.cfg, list(range(self.cfg.num_layers))
        if looping:
            loop = order[cfg.loop_start : cfg.loop_end + 1]
            order[cfg.loop_start : cfg.loop_end + 1] = loop * (cfg.num_loops + 1)
        return order[: len(order) // 2], order[len(order) // 2 :]

    @torch.no_grad()
    def _init_weights(self) -> None:
        """Orthogonal matrices (zero where a branch ends), all rounded once to bf16; embedding N(0, std²)."""
        nn.init.normal_(self.tok_emb.weight, std=self.cfg.tied_embed_init_std)
        for name, module in self.named_modules():
            if isinstance(module, Linear):
                if name.endswith("proj"):
                    module.weight.zero_()
                elif min(module.weight.shape) >= 64:
                    nn.init.orthogonal_(module.weight)
                module.weight.copy_(module.weight.bfloat16())
        if self.dtype == torch.bfloat16:
            self.tok_emb.bfloat16()

    def forward(self, tokens: Tensor, first: int = 0, bounds: Any = None) -> Tensor:
        """Tokens `[B, T]` to final normed states `[B, T − first, D]`, in the compute dtype.

        Attention is causal within a row or, if `bounds` (see `doc_attention.segment_bounds`) are given, a segment. With
        a `stream.Past` in their place the row goes on from it, after its first `lead` tokens.
        """
        x = F.embedding(tokens, self.tok_emb.weight).to(self.dtype)
        if self.cfg.smear_gate_enabled:
            x = self.smear(x, tokens)
        x = norm(x)
        if self.cfg.embed_scale_enabled:
            x = x * self.embed_scale.to(x.dtype)
        if self.cfg.stream_enabled and bounds is not None:
            x = x[:, bounds.lead :]
        x0 = x
        rope: Rope = (*rotary_tables(tokens.shape[1], self.cfg, tokens.device), causal_attention)
        if self.cfg.doc_attention_enabled and bounds is not None:
            from pgolf.trainer.doc_attention import segment_rope

            rope = segment_rope(self.cfg, bounds, tokens)
        if self.cfg.stream_enabled and bounds is not None:
            rope = bounds.rope(x.shape[1], x.device)
        left, right = self.virtual_order(self.looping)
        skips = []
        for i in left:
            x = self.blocks[i](x, x0, rope)
            skips.append(x)
        for j, i in enumerate(right):
            if self.cfg.parallel_start_layer > 0 and i >= self.cfg.parallel_start_layer:
                x = self.lanes(self.blocks, list(enumerate(right))[j:], partial(self.join, skips), x, x0, rope, first)
                break
            x = self.join(skips, j, x)
            x = self.blocks[i](x, x0, rope, first if j == len(right) - 1 else 0)
        return norm(x)

    def join(self, skips: list[Tensor], row: int, x: Tensor) -> Tensor:
        """x with the last of `skips`, taken off them, by a row of the skip weights; x itself where none is left."""
        if not skips:
            return x
        skip = self.skip_weights[row].to(x.dtype) * skips.pop()
        if not self.cfg.skip_gates_enabled:
            return x + skip
        return torch.lerp(skip, x, self.skip_gates[row].sigmoid().to(x.dtype))


def raw(model: GPT) -> GPT:
    """The model itself, with its parameters' own names, where it may have been compiled."""
    return getattr(model, "_orig_mod", model)
