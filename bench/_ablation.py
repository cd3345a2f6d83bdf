"""What a preset changes, mechanism by mechanism: the variants of an ablation for `quality.py`."""

import tomllib
from importlib.resources import files

from pgolf import presets

# A mechanism and what must change with it; a knob that stands nowhere here is one by itself.
MECHANISMS = (
    ("sparse_attn_gate_enabled", "sparse_attn_gate_scale", "gated_attn_init_std"),
    ("parallel_start_layer", "parallel_final_lane", "parallel_residual_start"),
    ("doc_attention_enabled", "val_batch_tokens", "sliding_window_enabled"),
    ("matrix_lr", "muon_momentum", "beta2", "min_lr", "warmdown_frac"),
    ("embed_bits", "embed_clip_sigmas", "attn_clip_sigmas", "mlp_clip_sigmas"),
    ("compressor", "gptq_reserve_seconds"),
    (
        "phased_ttt_enabled", "phased_ttt_prefix_docs", "global_ttt_chunk_tokens", "ttt_eval_seq_len", "ttt_chunk_size",
        "ttt_batch_size", "ttt_lora_rank", "ttt_lora_alpha",
    ),
)  # fmt: skip


def ablation(preset: str) -> list[str]:
    """'base', 'base,knob=value,…' with each mechanism of `preset` alone, and `preset`; base is what it extends."""
    base = tomllib.loads((files(presets) / f"{preset}.toml").read_text())["extends"]
    changed = {knob: new for knob, (_, new) in presets.differences(base, preset).items()}
    groups = [[knob for knob in group if knob in changed] for group in MECHANISMS]
    alone = [[knob] for knob in changed if not any(knob in group for group in groups)]
    settings = presets.as_env(changed)
    variants = [",".join(f"{knob}={settings[knob.upper()]}" for knob in group) for group in [*alone, *groups] if group]
    return [base, *(f"{base},{variant}" for variant in variants), preset]
