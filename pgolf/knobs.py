"""One table of the trainer's knobs: which part of a run each belongs to, whose it is, and its range.

Every list of knobs elsewhere is read from here. The trainer does not import this module, so that packed files pay
nothing for it; `pgolf.trainer.config.Config` has each knob's type and default, and a test holds that both name the same
knobs.
"""

import math
from dataclasses import dataclass
from typing import Literal

# What a change of the knob changes. `evaluation` and `adaptation` (test-time training) leave the artifact as it is,
# `quantisation` makes another artifact of the same checkpoint, `data`, `model` and `training` need a training run.
Part = Literal["run", "place", "data", "model", "training", "quantisation", "evaluation", "adaptation"]

# identity  names one run and its places; a record sets it for each seed
# source    a finished file that the run starts from; a record sets it, too
# workers   how many share the work, which says nothing of the method
# free      left open in a packed file: a run of the same record may set it
# method    all others: what the record is
Role = Literal["identity", "source", "workers", "free", "method"]


@dataclass(frozen=True)
class KnobSpec:
    """A knob's part, role, and range: from `least` to `most`, or 0 where `or_zero`.

    Beyond the range no artifact can be made, or nothing be scored, which would show only after training; or an artifact
    of a stranger's could ask for a model that no machine holds.
    """

    part: Part
    role: Role = "method"
    least: float = -math.inf
    most: float = math.inf
    or_zero: bool = False

    def problem(self, value: float) -> str | None:
        """Why a value is out of range ('is not from 2 to 8, or 0'); None if it is in range.

        Examples
        --------
        >>> KNOBS["mlp_bits"].problem(9), KNOBS["mlp_bits"].problem(0)
        ('is not from 2 to 8, or 0', None)
        """
        unlimited = (self.least, self.most) == (-math.inf, math.inf)
        if unlimited or self.least <= value <= self.most or (self.or_zero and not value):
            return None
        if self.most == math.inf and not self.or_zero:
            return f"is not at least {self.least:g}"
        return f"is not from {self.least:g} to {self.most:g}{', or 0' if self.or_zero else ''}"


KNOBS = {
    # --- run
    "seed": KnobSpec("run", "identity", least=0, most=2**63 - 1),
    "run_id": KnobSpec("run", "identity"),
    "iterations": KnobSpec("run", "free", least=0),
    "max_wallclock_seconds": KnobSpec("run", "free", least=0),
    "train_log_every": KnobSpec("run", "free", least=0),
    "val_loss_every": KnobSpec("run", "free", least=0),
    "checkpoint_every": KnobSpec("run", "free", least=0),
    "resume_from_ckpt": KnobSpec("run", "source"),
    "eval_only": KnobSpec("run", "source"),
    "compile": KnobSpec("run", "free"),
    # --- place
    "device": KnobSpec("place", "free"),
    "dtype": KnobSpec("place", "free"),
    "cpu_threads": KnobSpec("place", "workers", least=0),
    "cpu_kernels": KnobSpec("place"),
    "data_dir": KnobSpec("place", "identity"),
    "datasets_dir": KnobSpec("place", "identity"),
    "tokenizer_path": KnobSpec("place", "identity"),
    # --- data
    "caseops_enabled": KnobSpec("data"),
    "data_seed": KnobSpec("data", "free"),
    "train_batch_tokens": KnobSpec("data", least=1),
    "train_seq_len": KnobSpec("data", least=1),
    "grad_accum_steps": KnobSpec("data"),
    # --- model
    "vocab_size": KnobSpec("model", least=1, most=1 << 16),
    "num_layers": KnobSpec("model", least=1, most=256),
    "model_dim": KnobSpec("model", least=1, most=1 << 14),
    "num_heads": KnobSpec("model", least=1, most=256),
    "num_kv_heads": KnobSpec("model", least=1, most=256),
    "mlp_mult": KnobSpec("model", least=0, most=64),
    "rope_base": KnobSpec("model", least=1, most=1e12),
    "rope_dims": KnobSpec("model", least=0, most=1 << 14),
    "rope_train_seq_len": KnobSpec("model", least=1, most=1 << 17),
    "qk_gain_init": KnobSpec("model"),
    "xsa_last_n": KnobSpec("model", least=0),
    "parallel_residual_start": KnobSpec("model"),
    "loop_start": KnobSpec("model"),
    "loop_end": KnobSpec("model"),
    "num_loops": KnobSpec("model", least=0, most=64),
    "enable_looping_at": KnobSpec("model"),
    "skip_gates_enabled": KnobSpec("model"),
    "ln_scale": KnobSpec("model"),
    "logit_softcap": KnobSpec("model", least=0),
    "tied_embed_init_std": KnobSpec("model", least=0),
    "attn_out_gate_enabled": KnobSpec("model"),
    "gate_window": KnobSpec("model"),
    "attn_out_gate_src": KnobSpec("model"),
    "sparse_attn_gate_enabled": KnobSpec("model"),
    "sparse_attn_gate_scale": KnobSpec("model"),
    "sparse_attn_gate_init_std": KnobSpec("model", least=0),
    "gated_attn_enabled": KnobSpec("model"),
    "gated_attn_init_std": KnobSpec("model", least=0),
    "smear_gate_enabled": KnobSpec("model"),
    "parallel_start_layer": KnobSpec("model"),
    "parallel_final_lane": KnobSpec("model"),
    "attn_window": KnobSpec("model", least=0, most=1 << 20),
    "attn_window_early": KnobSpec("model", least=0, most=1 << 20),
    "doc_attention_enabled": KnobSpec("model"),
    "loop_branch_scale": KnobSpec("model"),
    "embed_scale_enabled": KnobSpec("model"),
    # --- training
    "matrix_lr": KnobSpec("training", least=0),
    "muon_momentum": KnobSpec("training", least=0, most=1),
    "muon_momentum_warmup_start": KnobSpec("training", least=0, most=1),
    "muon_momentum_warmup_steps": KnobSpec("training", least=0),
    "muon_momentum_warmup_frac": KnobSpec("training", least=0, most=1),
    "muon_backend_steps": KnobSpec("training", least=0, most=100),
    "muon_polar_enabled": KnobSpec("training"),
    "muon_row_normalize": KnobSpec("training"),
    "muon_wd": KnobSpec("training", least=0),
    "muon_wd_mlp": KnobSpec("training"),
    "tied_embed_lr": KnobSpec("training", least=0),
    "embed_wd": KnobSpec("training", least=0),
    "scalar_lr": KnobSpec("training", least=0),
    "adam_wd": KnobSpec("training", least=0),
    "beta1": KnobSpec("training", least=0, most=1),
    "beta2": KnobSpec("training", least=0, most=1),
    "adam_eps": KnobSpec("training", least=0),
    "grad_clip_norm": KnobSpec("training", least=0),
    "clip_before_average_enabled": KnobSpec("training"),
    "min_lr": KnobSpec("training", least=0, most=1),
    "attn_window_at": KnobSpec("training", least=0, most=1),
    "warmdown_frac": KnobSpec("training"),
    "warmup_steps": KnobSpec("training", least=0),
    "ema_decay": KnobSpec("training", least=0, most=1),
    "gptq_reserve_seconds": KnobSpec("training", least=0),
    # --- quantisation
    "matrix_bits": KnobSpec("quantisation", least=2, most=8),
    "attn_bits": KnobSpec("quantisation", least=2, most=8, or_zero=True),
    "mlp_bits": KnobSpec("quantisation", least=2, most=8, or_zero=True),
    "embed_bits": KnobSpec("quantisation", least=2, most=8),
    "matrix_clip_sigmas": KnobSpec("quantisation", least=0.01),
    "attn_clip_sigmas": KnobSpec("quantisation", least=0),
    "mlp_clip_sigmas": KnobSpec("quantisation", least=0),
    "embed_clip_sigmas": KnobSpec("quantisation", least=0.01),
    "embed_scale_power": KnobSpec("quantisation", least=0, most=1),
    "passthrough_numel": KnobSpec("quantisation", least=0),
    "passthrough_mantissa_bits": KnobSpec("quantisation", least=0, most=10),
    "scale_mantissa_bits": KnobSpec("quantisation", least=0, most=10),
    "mixed_bits_enabled": KnobSpec("quantisation"),
    "lqer_enabled": KnobSpec("quantisation"),
    "lqer_asym_enabled": KnobSpec("quantisation"),
    "lqer_rank": KnobSpec("quantisation", least=1, most=64),
    "lqer_top_k": KnobSpec("quantisation", least=0, most=4096),
    "lqer_factor_bits": KnobSpec("quantisation", least=2, most=8),
    "lqer_asym_group": KnobSpec("quantisation", least=1, most=1 << 20),
    "gptq_calibration_batches": KnobSpec("quantisation", least=0),
    "gptq_damp": KnobSpec("quantisation", least=0),
    "compressor": KnobSpec("quantisation"),
    "brotli_lgwin": KnobSpec("quantisation", least=10, most=24),
    "fit_to_cap": KnobSpec("quantisation"),
    "size_cap": KnobSpec("quantisation", least=1),
    "size_margin": KnobSpec("quantisation", least=0),
    # --- evaluation
    "eval_seq_len": KnobSpec("evaluation", least=1),
    "eval_stride": KnobSpec("evaluation", least=1),
    "val_batch_tokens": KnobSpec("evaluation", least=1),
    "sliding_window_enabled": KnobSpec("evaluation"),
    "stream_enabled": KnobSpec("evaluation"),
    "stream_window": KnobSpec("evaluation", least=0, most=1 << 20),
    "stream_piece": KnobSpec("evaluation", least=1),
    "stream_context": KnobSpec("evaluation", least=0),
    # --- adaptation
    "ttt_enabled": KnobSpec("adaptation"),
    "ttt_chunk_tokens": KnobSpec("adaptation", least=1),
    "ttt_epochs": KnobSpec("adaptation", least=0),
    "ttt_lr": KnobSpec("adaptation", least=0),
    "ttt_momentum": KnobSpec("adaptation", least=0, most=1),
    "ttt_batch_seqs": KnobSpec("adaptation", least=1),
    "ttt_grad_clip": KnobSpec("adaptation", least=0),
    "ttt_nesterov": KnobSpec("adaptation"),
    "phased_ttt_enabled": KnobSpec("adaptation"),
    "phased_ttt_prefix_docs": KnobSpec("adaptation", least=0),
    "phased_ttt_num_phases": KnobSpec("adaptation", least=0),
    "phased_ttt_group_docs": KnobSpec("adaptation", least=0),
    "ttt_lora_rank": KnobSpec("adaptation", least=1),
    "ttt_lora_alpha": KnobSpec("adaptation", least=0),
    "ttt_lora_lr": KnobSpec("adaptation", least=0),
    "ttt_chunk_size": KnobSpec("adaptation", least=1),
    "ttt_batch_size": KnobSpec("adaptation", least=1),
    "ttt_grad_steps": KnobSpec("adaptation", least=1),
    "ttt_optimizer": KnobSpec("adaptation"),
    "ttt_beta1": KnobSpec("adaptation", least=0, most=1),
    "ttt_beta2": KnobSpec("adaptation", least=0, most=1),
    "ttt_weight_decay": KnobSpec("adaptation", least=0),
    "ttt_k_lora": KnobSpec("adaptation"),
    "ttt_o_lora": KnobSpec("adaptation"),
    "ttt_mlp_lora": KnobSpec("adaptation"),
    "ttt_eval_seq_len": KnobSpec("adaptation", least=1),
    "ttt_warm_start_a": KnobSpec("adaptation"),
    "global_ttt_lr": KnobSpec("adaptation", least=0),
    "global_ttt_momentum": KnobSpec("adaptation", least=0, most=1),
    "global_ttt_epochs": KnobSpec("adaptation", least=0),
    "global_ttt_chunk_tokens": KnobSpec("adaptation", least=1),
    "global_ttt_batch_seqs": KnobSpec("adaptation", least=1),
    "global_ttt_grad_clip": KnobSpec("adaptation", least=0),
    "global_ttt_respect_doc_boundaries": KnobSpec("adaptation"),
    "global_ttt_warmup_chunks": KnobSpec("adaptation", least=0),
    "global_ttt_warmup_start_lr": KnobSpec("adaptation", least=0),
}


def of_part(*parts: Part) -> tuple[str, ...]:
    """The knobs of these parts, in the table's order."""
    return tuple(name for name, spec in KNOBS.items() if spec.part in parts)


def with_role(*roles: Role) -> tuple[str, ...]:
    """The knobs with these roles, in the table's order."""
    return tuple(name for name, spec in KNOBS.items() if spec.role in roles)


EVALUATION = of_part("evaluation", "adaptation")  # what may be set when an artifact is scored again
QUANTISATION = of_part("quantisation")
PLACES = of_part("place")
RESERVED = frozenset(with_role("identity", "source"))  # a preset that sets one would break the comparison between seeds
FREE = frozenset(with_role("identity", "source", "workers", "free"))
OF_ONE_RUN = frozenset(with_role("identity", "workers"))  # says nothing of the method
