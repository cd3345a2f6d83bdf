"""An artifact of a model that nobody trained, in a second."""

from dataclasses import dataclass
from pathlib import Path

import torch

from pgolf.presets import config_of
from pgolf.trainer.codec import encode
from pgolf.trainer.config import MODEL_KNOBS, Knob
from pgolf.trainer.model import GPT
from pgolf.trainer.quantize import quantise

KNOBS: dict[str, Knob] = {
    "vocab_size": 512,
    "num_layers": 3,
    "model_dim": 32,
    "num_heads": 2,
    "num_kv_heads": 1,
    "mlp_mult": 2.0,
    "rope_dims": 8,
    "loop_start": 1,
    "loop_end": 1,
    "parallel_residual_start": 2,
    "rope_train_seq_len": 32,
    "eval_seq_len": 32,
    "eval_stride": 8,
    "ttt_chunk_tokens": 4096,
    "ttt_epochs": 2,
    "ttt_lr": 0.05,
}


@dataclass(frozen=True)
class Made:
    path: Path
    knobs: dict[str, Knob]


def make(folder: Path) -> Made:
    """Every parameter is random, so that no zero-initialised branch hides a mistake."""
    torch.manual_seed(0)
    cfg = config_of(KNOBS)
    model = GPT(cfg)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn(p.shape) * 0.2)
    config = {name: value for name in MODEL_KNOBS if (value := getattr(cfg, name))}  # as the trainer writes it
    path = folder / "final_model.int6.ptz"
    path.write_bytes(encode(quantise(model, {}, cfg, 0, 1), config))
    return Made(path, KNOBS)
