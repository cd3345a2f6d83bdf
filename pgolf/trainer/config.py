"""The knobs: one dataclass; each field is also an environment variable in upper case (`TTT_EPOCHS=4`).

That is how this community drives trainers. The defaults are the 2026-04-09 record (preset `pr1493`) on 8 ranks.
Presets are TOML files outside the trainer; whoever starts it turns them into environment variables, and
`pgolf pack` makes one's values the defaults, so that a packed file reproduces with nothing but SEED set.
"""

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

Knob = int | float | bool | str
BOS = 1  # the token that a document begins with: SentencePiece's default, and that of every public export


@dataclass
class Config:
    # --- run
    seed: int = 1337
    run_id: str = ""  # default: a fresh uuid
    iterations: int = 20000
    max_wallclock_seconds: float = 600.0  # 0: no cap, and the schedule's clock is step / iterations
    train_log_every: int = 500
    val_loss_every: int = 4000  # 0: never during training
    checkpoint_every: int = 0  # steps between checkpoint.pt; 0: only the finished model
    resume_from_ckpt: str = ""
    eval_only: str = ""  # path of an artifact to score instead of training
    device: str = "auto"
    dtype: str = "auto"  # of matrix products: bfloat16 on CUDA, float32 on CPU
    cpu_threads: int = 0  # of one rank; 0: OMP_NUM_THREADS, else the cores shared out over the ranks here
    cpu_kernels: bool = True  # on a CPU, blocks with fewer passes over memory; packed files leave them out
    compile: str = "auto"  # torch.compile: on CUDA yes, on CPU no; 0 or 1 decides

    # --- data
    data_dir: str = "./data"
    datasets_dir: str = ""  # default: DATA_DIR/datasets/fineweb10B_sp<VOCAB_SIZE>
    tokenizer_path: str = ""  # default: DATA_DIR/tokenizers/fineweb_<VOCAB_SIZE>_bpe.model
    vocab_size: int = 8192
    caseops_enabled: bool = False  # the text's case is transformed, and side-cars say how many bytes a token had
    data_seed: int = -1  # -1: upstream's order, the same for every seed
    train_batch_tokens: int = 786432
    train_seq_len: int = 2048
    grad_accum_steps: int = 0  # micro-batches a step and rank; 0: 8 / world size
    eval_seq_len: int = 2048
    eval_stride: int = 64

    # --- model
    num_layers: int = 11
    model_dim: int = 512
    num_heads: int = 8
    num_kv_heads: int = 4
    mlp_mult: float = 4.0
    rope_base: float = 10000.0
    rope_dims: int = 16
    rope_train_seq_len: int = 2048
    qk_gain_init: float = 5.25
    xsa_last_n: int = 11
    parallel_residual_start: int = 7
    loop_start: int = 3
    loop_end: int = 5
    num_loops: int = 2
    enable_looping_at: float = 0.35
    skip_gates_enabled: bool = True
    ln_scale: bool = True
    logit_softcap: float = 30.0
    tied_embed_init_std: float = 0.005
    attn_out_gate_enabled: bool = False  # pr1812's gate
    gate_window: int = 12
    attn_out_gate_src: str = "proj"  # what it reads: the branch input, or (q) the raw query projection
    sparse_attn_gate_enabled: bool = False
    sparse_attn_gate_scale: float = 0.0  # of its logits; 0: 1
    sparse_attn_gate_init_std: float = 0.0
    gated_attn_enabled: bool = False
    gated_attn_init_std: float = 0.0
    smear_gate_enabled: bool = False
    parallel_start_layer: int = 0  # two lanes from this block on; 0 or less: one
    parallel_final_lane: str = ""  # attn or mlp; else the mean of both
    attn_window: int = 0  # positions that attention reaches back over, its own among them; 0: all
    attn_window_early: int = 0  # the same of the first half of the blocks; 0: ATTN_WINDOW
    doc_attention_enabled: bool = False  # rows of text, cut into segments at documents and every TRAIN_SEQ_LEN
    # In pr1812's README only, and off in our presets:
    loop_branch_scale: bool = False  # looped blocks' branch inputs also divided by √(NUM_LOOPS+1)
    embed_scale_enabled: bool = False  # a learned scale on the embedding's output

    # --- optimisation
    matrix_lr: float = 0.022
    muon_momentum: float = 0.99
    muon_momentum_warmup_start: float = 0.92
    muon_momentum_warmup_steps: int = 1500
    muon_momentum_warmup_frac: float = 0.0  # > 0: warm up over this share of the clock instead of steps
    muon_backend_steps: int = 5
    muon_polar_enabled: bool = False  # Polar Express coefficients; gradient and momentum in the compute dtype
    muon_row_normalize: bool = True
    muon_wd: float = 0.095
    muon_wd_mlp: float = -1.0  # < 0: MUON_WD
    tied_embed_lr: float = 0.03
    embed_wd: float = 0.085
    scalar_lr: float = 0.02
    adam_wd: float = 0.02
    beta1: float = 0.9
    beta2: float = 0.95
    adam_eps: float = 1e-8
    grad_clip_norm: float = 0.3
    clip_before_average_enabled: bool = False  # each rank clips its own gradient
    min_lr: float = 0.0
    warmdown_frac: float = 0.72
    attn_window_at: float = 0.0  # share of the clock from which ATTN_WINDOW holds in training
    warmup_steps: int = 20
    ema_decay: float = 0.9965

    # --- quantisation and artifact
    matrix_bits: int = 6
    attn_bits: int = 0  # 0: MATRIX_BITS
    mlp_bits: int = 0  # 0: MATRIX_BITS
    embed_bits: int = 8
    matrix_clip_sigmas: float = 12.85
    attn_clip_sigmas: float = 0.0  # 0: MATRIX_CLIP_SIGMAS
    mlp_clip_sigmas: float = 0.0  # 0: MATRIX_CLIP_SIGMAS
    embed_clip_sigmas: float = 20.0
    embed_scale_power: float = 1.0  # a row's step goes with its standard deviation to this power
    # tensors up to this size stay fp16; the gates too: int8 by rows would save 80 bytes of 1,400 and need code for it
    passthrough_numel: int = 65536
    passthrough_mantissa_bits: int = 10  # of those tensors; fewer of fp16's 10 make a smaller file
    scale_mantissa_bits: int = 10  # of the rows' scales: 3 is 8 steps an octave
    mixed_bits_enabled: bool = False  # rows' steps by what their errors cost, instead of by their spread
    lqer_enabled: bool = False  # a product of thin matrices makes good the largest errors
    lqer_asym_enabled: bool = True  # 2 bits for one factor, 4 for the other
    lqer_rank: int = 4
    lqer_top_k: int = 3  # matrices
    lqer_factor_bits: int = 4  # of both factors where they are not asymmetric
    lqer_asym_group: int = 64  # elements that share a scale
    gptq_calibration_batches: int = 64
    gptq_reserve_seconds: float = 12.0
    gptq_damp: float = 0.01
    compressor: str = "brotli"  # or ans
    brotli_lgwin: int = 24
    fit_to_cap: bool = False  # choose the clip widths so that code and model are at most SIZE_CAP bytes
    size_cap: int = 16_000_000
    size_margin: int = 2000  # bytes below SIZE_CAP that fitting aims at

    # --- evaluation
    val_batch_tokens: int = 524288  # with document attention plain evaluation reads rows of an eighth of it
    sliding_window_enabled: bool = True
    stream_enabled: bool = False  # score in a stream, and chunks of test-time training, too
    stream_window: int = 0  # positions that attention then reaches back over; 0: ATTN_WINDOW, else EVAL_SEQ_LEN
    stream_piece: int = 16384  # tokens that ranks take in turn
    stream_context: int = 0  # tokens before a piece that pass unscored; 0: STREAM_WINDOW
    ttt_enabled: bool = True
    ttt_chunk_tokens: int = 32768
    ttt_epochs: int = 3
    ttt_lr: float = 0.005
    ttt_momentum: float = 0.9
    ttt_batch_seqs: int = 32  # sequences a rank and step
    ttt_grad_clip: float = 1.0
    ttt_nesterov: bool = False  # in pr1812's README only
    # phased: low-rank adapters of each document's own, and SGD on documents that have been scored
    phased_ttt_enabled: bool = False  # instead of the above; the trainer's switch is TTT_ENABLED
    phased_ttt_prefix_docs: int = 2500
    phased_ttt_num_phases: int = 3
    phased_ttt_group_docs: int = 0  # > 0: strictly left to right, so many documents at a time; 0: longest first
    ttt_lora_rank: int = 80
    ttt_lora_alpha: float = 144.0
    ttt_lora_lr: float = 1e-4
    ttt_chunk_size: int = 48
    ttt_batch_size: int = 64
    ttt_grad_steps: int = 1
    ttt_optimizer: str = "adam"  # or sgd, whose momentum is TTT_BETA1
    ttt_beta1: float = 0.0
    ttt_beta2: float = 0.99
    ttt_weight_decay: float = 0.5
    ttt_k_lora: bool = True
    ttt_o_lora: bool = True
    ttt_mlp_lora: bool = True
    ttt_eval_seq_len: int = 2048
    ttt_warm_start_a: bool = True
    global_ttt_lr: float = 0.001
    global_ttt_momentum: float = 0.9
    global_ttt_epochs: int = 1
    global_ttt_chunk_tokens: int = 32768
    global_ttt_batch_seqs: int = 32  # sequences a rank and step
    global_ttt_grad_clip: float = 1.0
    global_ttt_respect_doc_boundaries: bool = True
    global_ttt_warmup_chunks: int = 0
    global_ttt_warmup_start_lr: float = 0.0

    def __post_init__(self) -> None:
        self.run_id = self.run_id or str(uuid.uuid4())
        self.datasets_dir = self.datasets_dir or f"{self.data_dir}/datasets/fineweb10B_sp{self.vocab_size}"
        self.tokenizer_path = self.tokenizer_path or f"{self.data_dir}/tokenizers/fineweb_{self.vocab_size}_bpe.model"


KNOB_TYPES: dict[str, type[Knob]] = Config.__annotations__
_NAMES = list(KNOB_TYPES)
# the knobs that an artifact needs to be the same model; it holds only those that are not 0, off or empty, so that a
# packed file without a mechanism's knobs writes and reads the same
MODEL_KNOBS = ("vocab_size", *_NAMES[_NAMES.index("num_layers") : _NAMES.index("matrix_lr")])


def parse_knob(name: str, text: str) -> Knob:
    """The value of knob `name` (one of KNOB_TYPES) from its text; ValueError names the knob and its type."""
    kind = KNOB_TYPES[name]
    try:
        if kind is bool:
            return {"1": True, "true": True, "0": False, "false": False}[text.strip().lower()]
        return kind(text)
    except (ValueError, KeyError):
        raise ValueError(f"knob {name}: '{text}' is not a valid {kind.__name__}") from None


def config_from_env(env: Mapping[str, str] = os.environ) -> Config:
    """The knobs that `env` sets, over the defaults."""
    return Config(**{k: parse_knob(k, env[k.upper()]) for k in KNOB_TYPES if k.upper() in env})  # type: ignore[arg-type]
