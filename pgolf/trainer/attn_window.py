"""ATTN_WINDOW: attention reaches back over the last so many positions, in training and evaluation alike."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor

from pgolf.trainer.banded import banded_attention
from pgolf.trainer.config import Config
from pgolf.trainer.primitives import causal_attention


def window_in_training(cfg: Config, layer: int) -> int:
    """A block's window: of the first half of the blocks ATTN_WINDOW_EARLY, where that is set."""
    return (cfg.attn_window_early if layer < cfg.num_layers // 2 else 0) or cfg.attn_window


def set_windows(model: Any, frac: float) -> None:
    """Let a model in training attend to all of a row until ATTN_WINDOW_AT, and from then on within its windows."""
    for layer, block in enumerate(model.blocks):
        block.attn.window = window_in_training(model.cfg, layer) if frac >= model.cfg.attn_window_at else 0


def within(window: int, attend: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Causal attention held to a window, if there is one; attention of another kind as it is."""
    return partial(banded_attention, window) if window and attend is causal_attention else attend
