"""One optimiser step, one parameter at a time; schedules; the average of the weights. `cfg` has the knobs."""

import math

import torch
from torch import Tensor


def lr_multiplier(frac: float, warmdown_frac: float, min_lr: float) -> float:
    """1, then a straight line to 0 over the last `warmdown_frac` of the clock, never below `min_lr`."""
    if frac < 1 - warmdown_frac:
        return 1.0
    return max((1 - frac) / warmdown_frac, min_lr)


def muon_momentum(step: int, frac: float, start: float, end: float, steps: int, clock_share: float) -> float:
    """From `start` to `end` over the first `steps` steps or, where `clock_share` > 0, that share of the clock."""
    progress = frac / clock_share if clock_share > 0 else step / steps
    return start + (end - start) * min(progress, 1.0)


def clip_jointly(grads: dict[str, Tensor], max_norm: float) -> dict[str, Tensor]:
    """All gradients scaled by one factor, so that their joint norm is at most `max_norm`."""
    norm = math.sqrt(sum(float((g.double() ** 2).sum()) for g in grads.values()))
    return {name: g * min(1.0, max_norm / (norm + 1e-6)) for name, g in grads.items()}


# Polar Express, as the record has it: a quintic for each step
POLAR_A = 8.156554524902461, 4.042929935166739, 3.8916678022926607, 3.285753657755655, 2.3465413258596377
POLAR_B = -22.48329292557795, -2.808917465908714, -2.772484153217685, -2.3681294933425376, -1.7097828382687081
POLAR_C = 15.878769915207462, 0.5000178451051316, 0.5060648178503393, 0.46449024233003106, 0.42323551169305323


def newton_schulz(g: Tensor, steps: int, polar: bool = False) -> Tensor:
    """`g` with its singular values pushed towards 1 by `steps` rounds of the quintic."""
    x = g.T if g.shape[0] > g.shape[1] else g
    x = x / (x.norm() + 1e-7)
    for i in range(steps):
        a, b, c = (POLAR_A[i], POLAR_B[i], POLAR_C[i]) if polar else (3.4445, -4.7750, 2.0315)
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if g.shape[0] > g.shape[1] else x


def muon_step(p: Tensor, g: Tensor, buffer: Tensor, lr: float, momentum: float, decay: float, cfg) -> tuple:
    """MuonEq-R on one matrix; returns the new matrix and momentum buffer."""
    buffer = momentum * buffer + g
    blend = g + momentum * buffer
    if cfg.muon_row_normalize:
        blend = torch.stack([row / max(float(row.norm()), 1e-7) for row in blend])
    update = newton_schulz(blend, cfg.muon_backend_steps, cfg.muon_polar_enabled) * math.sqrt(
        max(1.0, p.shape[0] / p.shape[1])
    )
    return p * (1 - lr * decay) - lr * update, buffer


def adamw_step(p: Tensor, g: Tensor, m: Tensor, v: Tensor, step: int, lr: float, decay: float, cfg) -> tuple:
    """AdamW on one parameter, `step` counting from 1; returns the new parameter and both moments."""
    m = cfg.beta1 * m + (1 - cfg.beta1) * g
    v = cfg.beta2 * v + (1 - cfg.beta2) * g * g
    m_hat = m / (1 - cfg.beta1**step)
    v_hat = v / (1 - cfg.beta2**step)
    return p * (1 - lr * decay) - lr * m_hat / (v_hat.sqrt() + cfg.adam_eps), m, v


def ema_step(average: Tensor, p: Tensor, decay: float) -> Tensor:
    return decay * average + (1 - decay) * p


def optimizer_step(params: dict, grads: dict, state: dict, step: int, lr_mul: float, momentum: float, cfg) -> dict:
    """The whole step: joint clip, Muon on the blocks' matrices, AdamW on the embedding and on everything else.

    `step` counts from 1; `state` keeps what each parameter remembers. Returns the new parameters.
    """
    grads = clip_jointly(grads, cfg.grad_clip_norm) if cfg.grad_clip_norm > 0 else grads
    new = {}
    for name, g in grads.items():
        p, zero = params[name], torch.zeros_like(g)
        if name.startswith("blocks.") and name.endswith(".weight"):
            split = ".mlp." in name and cfg.muon_wd_mlp >= 0
            decay = cfg.muon_wd_mlp if split else cfg.muon_wd
            new[name], state[name] = muon_step(
                p, g, state.get(name, zero), cfg.matrix_lr * lr_mul, momentum, decay, cfg
            )
        else:
            embedding = name.startswith("tok_emb.")
            lr, decay = (cfg.tied_embed_lr, cfg.embed_wd) if embedding else (cfg.scalar_lr, cfg.adam_wd)
            new[name], *state[name] = adamw_step(p, g, *state.get(name, (zero, zero)), step, lr * lr_mul, decay, cfg)
    return new
