"""Scoring in a stream: every token passes once, and attention reaches back over the last STREAM_WINDOW positions.

Keys and values were made with their own history, and rotary scores depend on distances alone, so nothing is shifted or
made again. The stream is cut into pieces that ranks share; a piece begins STREAM_CONTEXT tokens early, so that its
first position finds a past. Where pieces begin does not depend on how many ranks there are.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from pgolf.trainer.banded import banded_attention
from pgolf.trainer.config import Config
from pgolf.trainer.head import token_losses
from pgolf.trainer.model import GPT, raw
from pgolf.trainer.primitives import Rope
from pgolf.trainer.score import Scored, rows_that_fit, share


def window_of(cfg: Config) -> int:
    """Positions that attention reaches back over while a stream passes, its own among them."""
    return cfg.stream_window or cfg.attn_window or cfg.eval_seq_len


class Past:
    """What the visits of blocks keep of a row that passes in parts: keys and values within its window.

    Attributes
    ----------
    at : positions that have passed, which is where the next part begins.
    lead : tokens that are given before a part, for the embedding of its first position.
    windows : how far each visit reaches back, in order: STREAM_WINDOW, of blocks with a shorter ATTN_WINDOW in
        proportion.
    kept : keys (normed and turned) and values `[B, ≤ window − 1, K, E]` of each visit in the part that passes;
        `before` those of the part before it.
    """

    def __init__(self, model: GPT):
        self.cfg, self.at, self.lead = model.cfg, 0, 0
        left, right = model.virtual_order(model.looping)
        window = window_of(self.cfg)
        self.windows = [window for _ in left + right]
        if self.cfg.attn_window > 0:
            from pgolf.trainer.attn_window import window_in_training

            own = [window_in_training(self.cfg, i) for i in left + right]
            self.windows = [max(1, window * w // self.cfg.attn_window) for w in own]
        self.kept: list[list[Tensor]] = []

    def rope(self, length: int, device: torch.device) -> Rope:
        """Rotary tables of the next `length` positions, and who attends to whom."""
        place = torch.arange(self.at, self.at + length, dtype=torch.float64, device=device)[:, None, None]
        n = torch.arange(0, self.cfg.rope_dims, 2, device=device) / self.cfg.rope_dims
        angle = place * self.cfg.rope_base**-n
        self.at, self.before, self.kept = self.at + length, self.kept, []
        return angle.cos().float(), angle.sin().float(), self.attend

    def attend(self, q: Tensor, *keys: Tensor) -> Tensor:
        """The next visit's attention: q `[B, t, H, E]` are the last t queries over keys and values `[B, T, K, E]`."""
        visit = len(self.kept)
        window = self.windows[visit]
        if self.before:
            keys = tuple(torch.cat(pair, 1) for pair in zip(self.before[visit], keys, strict=True))
        self.kept.append([x[:, max(0, x.shape[1] - window + 1) :] for x in keys])
        if self.cfg.cpu_kernels:
            from pgolf.trainer.cpu_kernels import band

            return band(window, q, *keys)
        return banded_attention(window, q, *keys)


def stream(model: GPT, tokens: Tensor, want_logp: bool = False, rank: int = 0, world: int = 1) -> Iterator[Scored]:
    """The evaluator."""
    yield from score_span(model, tokens, 0, len(tokens) - 1, want_logp, rank, world)


def score_span(
    model: GPT, tokens: Tensor, start: int, stop: int, want_logp: bool, rank: int, world: int
) -> Iterator[Scored]:
    """Score this rank's pieces of the inputs from `start` to `stop`, targets one later; as many at once as fit."""
    cfg, device = model.cfg, model.tok_emb.weight.device
    starts, fit = range(start, stop, cfg.stream_piece), rows_that_fit(cfg, device)
    part = share(len(starts), rank, world)
    for first in starts[part.start : part.stop]:
        at, past = max(0, first - (cfg.stream_context or window_of(cfg))), Past(raw(model))
        while at < (end := min(first + cfg.stream_piece, stop)):
            past.lead, to = min(at, 1), min(at + fit, end)
            x = tokens[at - past.lead : to + 1].to(device)
            skip = min(max(0, first - at), to - at - 1)  # queries of the last block that no score needs
            with torch.no_grad():
                states = raw(model)(x[None, :-1], skip, past)[0]
                scored = token_losses(model, states, x[past.lead + skip + 1 :], want_logp)
            if to > first:
                yield at + skip + 1, *scored
            at = to
