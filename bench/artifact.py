"""Bytes, error and time of the artifact: both codecs beside the entropy of the integers, GPTQ beside a plain loop.

    python bench/artifact.py [--size full|smoke|all] [--steps 240] [--val-tokens 8192] [--json]
    python bench/artifact.py --size full --device cuda --steps 400 [--val-tokens 65536] [--json]

A model is trained on the docstrings first, once, and kept under build/artifact: `smoke` in a minute, `full` (the
pr1493 model, SP8192, 2048 tokens a step) at 8 to 15 seconds a step of one core; without --steps the longest training
that is kept there, else 16 steps. With more steps than were kept, training goes on from the longest, on the schedule of
the new number (the learning rate goes up again and down to 0 once more). Times are CPU seconds of one thread. On a GPU
steps have 98,304 tokens in sequences of 2048, and neither `brotli`, which takes long, nor GPTQ's time is measured.

`entropy0` is the order-0 entropy of the integers summed over matrices. `brotli` is the records' codec and rounding;
`ans` is ours, with row scales on 8 steps an octave and fp16 tensors of 6 mantissa bits; `ans_over_entropy0` and
`brotli_over_entropy0` are whole files, `integers_over_entropy0` the integers with all that decoding them takes.
`at_power_half` is `ans` with EMBED_SCALE_POWER=0.5. `kl_…_over_fixed` are LQER and MIXED_BITS against the fixed 6 and 8
bits, all clip widths scaled until the file has the same size.
"""

import argparse
import json
import math
import sys
from dataclasses import replace

import brotli
import numpy as np
import torch
from _trained_models import calibration_text, cpu, hessians_of, sensitivities_of, steps_kept, trained
from torch import Tensor

from pgolf.trainer import ans
from pgolf.trainer.codec import Tensors, decode, encode
from pgolf.trainer.config import Config
from pgolf.trainer.data import load_validation
from pgolf.trainer.fit_to_cap import projected_bytes
from pgolf.trainer.head import token_losses
from pgolf.trainer.model import GPT
from pgolf.trainer.quantize import Hessians, gptq, grid, quantise, restore, roles, row_scale

COARSE = {"compressor": "ans", "scale_mantissa_bits": 3, "passthrough_mantissa_bits": 6}


class BothHessians(Hessians):
    """Our sums, and beside them one full product for each matrix and visit; CPU seconds of either."""

    def __init__(self, model: GPT):
        super().__init__(model)
        self.plain: dict[str, Tensor] = {}
        self.seconds = self.plain_seconds = 0.0

    def _add(self, key: str, x: Tensor) -> None:
        spent, _ = cpu(lambda: super(BothHessians, self)._add(key, x))
        self.seconds += spent
        x = x.detach().flatten(0, -2).float()
        for name in [key.replace("c_q", c) for c in ("c_q", "c_k", "c_v")] if "c_q" in key else [key]:
            own = self.plain.setdefault(name, torch.zeros(x.shape[1], x.shape[1]))
            self.plain_seconds += cpu(lambda own=own: own.addmm_(x.t(), x))[0]


def compare_hessians(cfg: Config, model: GPT, batches: int = 4) -> dict:
    """Time of the sums alone, over that of one full product for each matrix; they must agree."""
    both = BothHessians(model)
    with torch.no_grad():
        for x in calibration_text(cfg, batches):
            model(x)
    for name, h in both.finish(1).items():
        assert (h - both.plain[name]).norm() <= 1e-5 * h.norm(), name
    return {"hessian_sums_over_plain": both.seconds / both.plain_seconds}


def rounded(w: Tensor, scale: Tensor, bits: int) -> Tensor:
    """Each weight to the nearest step; zeros where the step is zero."""
    limit = 2 ** (bits - 1) - 1
    return torch.where(scale > 0, (w / scale).round().clamp(-limit, limit), 0.0)


def plain_gptq(w: Tensor, h: Tensor, bits: int, sigmas: float, damp: float, block: int = 128) -> Tensor:
    """Integers of one matrix as the public trainers find them: columns one by one, blocks of 128, H inverted."""
    w, h, scale = w.float().clone(), h.clone(), row_scale(w, bits, sigmas).float()
    dead = h.diagonal() == 0
    h.diagonal()[dead] = 1
    w[:, dead] = 0
    h.diagonal().add_(damp * h.diagonal().mean())
    order = torch.argsort(h.diagonal(), descending=True, stable=True)
    w, h = w[:, order], h[order][:, order]
    upper = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(h)), upper=True)
    q = torch.zeros_like(w)
    for first in range(0, w.shape[1], block):
        end = min(first + block, w.shape[1])
        error = torch.zeros(len(w), end - first)
        for j in range(first, end):
            q[:, j] = rounded(w[:, j], scale, bits)
            error[:, j - first] = (w[:, j] - q[:, j] * scale) / upper[j, j]
            w[:, j:end] -= error[:, j - first, None] * upper[j, j:end]
        w[:, end:] -= error @ upper[first:end, end:]
    return q[:, torch.argsort(order)].to(torch.int8)


def compare_gptq(cfg: Config, model: GPT, hessians: dict[str, Tensor], tensors: Tensors) -> dict:
    """Time of the plain loop, and tr(ΔW H ΔWᵀ) of ours over plain rounding's and over the plain loop's, averaged over
    matrices; the share of integers that differ."""
    seconds, over_rounding, over_plain, unequal, count = 0.0, [], [], 0, 0
    for role, names in roles(model).items():
        if not isinstance(tensors[role], tuple):
            continue
        bits, sigmas, _ = grid(role, cfg)
        for name, q, scale in zip(names, *tensors[role], strict=True):
            w, h = model.get_parameter(name).detach(), hessians[name]
            spent, theirs = cpu(lambda w=w, h=h, b=bits, s=sigmas: plain_gptq(w, h, b, s, cfg.gptq_damp))
            seconds += spent
            exact = scale.float()[:, None]

            def error(integers: Tensor, w=w, h=h, exact=exact) -> float:
                d = integers * exact - w
                return float((d @ h * d).sum(dtype=torch.float64))

            ours = error(q)
            over_rounding.append(ours / error(rounded(w, exact, bits)))
            over_plain.append(ours / error(theirs))
            unequal, count = unequal + int((q != theirs).sum()), count + q.numel()
    return {
        "matrices": len(over_plain),
        "gptq_reference_s": seconds,
        "gptq_error_over_rounding": float(np.mean(over_rounding)),
        "gptq_error_over_reference": float(np.mean(over_plain)),
        "gptq_worst_error_over_reference": max(over_plain),
        "gptq_integers_that_differ": unequal / count,
    }


def by_role(tensors: Tensors) -> dict:
    """Integers and what decoding them takes, over their entropy, role by role."""
    found = {}
    for role, held in tensors.items():
        if isinstance(held, tuple):
            side, words = ans.encode(matrices_of({role: held}))
            spent = len(words) + len(brotli.compress(side))
            found[f"integers_over_entropy0_{role}"] = spent / entropy0(matrices_of({role: held}))
    return found


def structure_left(tensors: Tensors) -> dict:
    """What codec `ans` leaves to a better model: the kurtosis of (q − μ) / σ, 3 for a Gaussian, and the share of bits
    that a width of its own for each 64 rows of a column would save if it were known for nothing, with what chance alone
    would seem to save taken off."""
    weights, kurtosis, saved, spent = ans.curves(), [], 0.0, 0.0
    d = (np.arange(256) + 128) % 256 - 128
    spread = (weights[:, 0] * d * d).sum(1) / weights[:, 0].sum(1)
    for q in matrices_of(tensors):
        t, u, v = ans.components(q)
        error = q - ans.means(t, u, v) / np.float32(ans.PHASES) if len(t) else q.astype(np.float32)
        a, b = ans.widths(error, weights)
        square = error**2 / spread[(a[:, None].astype(np.int16) + b).clip(0, ans.WIDTHS - 1)]
        kurtosis.append((square**2).mean() / square.mean() ** 2)
        step = min(64, len(q))
        blocks = square[: len(q) // step * step].reshape(-1, step, q.shape[1]).mean(1)
        nats = (np.log(square.mean()) - np.log(blocks.clip(1e-9)).mean()) / 2 - (kurtosis[-1] - 1) / (4 * step)
        saved, spent = saved + nats / np.log(2) * q.size / 8, spent + entropy0([q])
    return {
        "kurtosis_left_least": float(min(kurtosis)),
        "kurtosis_left_most": float(max(kurtosis)),
        "block_widths_would_save": float(saved / spent),
    }


class Damage:
    """What rounding does to a model's predictions on a text: its loss, and the mean divergence KL(before ‖ after) in
    nats a token, which tells a thousandth of a nat from nothing where differences of the loss are mostly luck."""

    def __init__(self, cfg: Config, model: GPT, tokens: Tensor):
        length = math.gcd(cfg.eval_seq_len, len(tokens) - 1)
        self.x, self.y = tokens[:-1].view(-1, length), tokens[1:].view(-1, length)
        self.trial = GPT(cfg).to(tokens.device)
        self.trial.looping = True
        of_role = {role: [model.get_parameter(n).detach() for n in ns] for role, ns in roles(model).items()}
        self.unquantised: Tensors = {role: torch.stack(weights) for role, weights in of_role.items()}
        self.loss_before, self.before = self.predict(self.unquantised)

    @torch.no_grad()
    def predict(self, tensors: Tensors) -> tuple[float, Tensor]:
        """Mean loss, and log-probabilities of all tokens, of the model that `tensors` make."""
        restore(self.trial, tensors)
        parts = zip(self.x.split(2), self.y.split(2), strict=True)
        each = [token_losses(self.trial, self.trial(x).flatten(0, 1), y.flatten(), want_logp=True) for x, y in parts]
        return float(torch.cat([losses for losses, _ in each]).mean()), torch.cat([logp for _, logp in each])

    def of(self, tensors: Tensors) -> tuple[float, float]:
        """(loss, divergence)."""
        loss, after = self.predict(tensors)
        parts = zip(self.before.split(512), after.split(512), strict=True)
        return loss, float(sum((p.exp() * (p - q)).sum(dtype=torch.float64) for p, q in parts)) / len(after)


def compare_powers(cfg: Config, hessians: dict[str, Tensor], damage: Damage) -> dict:
    """Divergence from rounding the embedding alone, in files of one size, where a row's step goes with its spread to
    another power."""
    name, found, size = "tok_emb.weight", {}, 0
    for power in (1.0, 0.5, 0.0):
        sigmas = cfg.embed_clip_sigmas
        for _ in range(5 if size else 1):
            weight = damage.unquantised[name]
            held = gptq(weight, [hessians[name]], cfg.embed_bits, sigmas, cfg, power=power)
            taken = len(encode({name: held}, {}, "ans"))
            size = size or taken
            sigmas *= 2 ** (8 * (taken - size) / weight.numel())
        found[power] = damage.of(damage.unquantised | {name: held})[1]
    return {
        "embed_kl": found[1.0],
        "embed_kl_power_half_over_sdclip": found[0.5] / found[1.0],
        "embed_kl_power_zero_over_sdclip": found[0.0] / found[1.0],
    }


def compare_repairs(cfg: Config, model: GPT, hessians: dict[str, Tensor], damage: Damage) -> dict:
    """MIXED_BITS and LQER against the fixed split of bits, in files of one size: all widths change by one factor."""
    knobs, found, size = ("embed_clip_sigmas", "attn_clip_sigmas", "mlp_clip_sigmas"), {}, 0
    count = sum(p.numel() for p in model.parameters())
    for name, change in (
        ("fixed", {}),
        ("lqer", {"lqer_enabled": True}),
        ("mixed_bits", {"mixed_bits_enabled": True}),
        ("mixed_bits_lqer", {"mixed_bits_enabled": True, "lqer_enabled": True}),
    ):
        known = {k: h for k, h in hessians.items() if "mixed_bits_enabled" in change or not k.endswith(".rows")}
        factor = 1.0
        for _ in range(6):
            widths = {k: factor * (getattr(cfg, k) or cfg.matrix_clip_sigmas) for k in knobs}
            tensors = quantise(model, known, replace(cfg, **change, **widths), 0, 1, lambda text: None)
            taken = len(encode(tensors, {}, "ans"))
            size = size or taken
            if abs(taken / size - 1) < 0.0003:
                break
            factor *= 2 ** (8 * (taken - size) / count)
        found |= {f"bytes_{name}": taken, f"kl_{name}": damage.of(tensors)[1]}
        if name == "lqer":
            bare = {k: held for k, held in tensors.items() if not k.startswith("lqer.")}
            found["lqer_matrices"] = sum(k.startswith("lqer.a.") for k in tensors)
            found["lqer_bytes"] = taken - len(encode(bare, {}, "ans"))
        if name != "fixed":
            found[f"kl_{name}_over_fixed"] = found[f"kl_{name}"] / found["kl_fixed"]
    return found


def entropy0(matrices: list[np.ndarray]) -> float:
    """Bytes: order-0 entropy of each matrix, summed."""
    total = 0.0
    for q in matrices:
        p = np.bincount(q.ravel().astype(np.int16) + 128) / q.size
        p = p[p > 0]
        total -= float((p * np.log2(p)).sum()) * q.size / 8
    return total


def same(a: Tensors, b: Tensors) -> bool:
    flat = [[x for held in t.values() for x in (held if isinstance(held, tuple) else (held,))] for t in (a, b)]
    return all(torch.equal(x.cpu().view(torch.int8), y.view(torch.int8)) for x, y in zip(*flat, strict=True))


def matrices_of(tensors: Tensors) -> list[np.ndarray]:
    return [q for held in tensors.values() if isinstance(held, tuple) for q in held[0].cpu().numpy()]


def of_brotli(tensors: Tensors, lgwin: int) -> dict:
    """Bytes and time of codec `brotli`; every bit must come back."""
    matrices = matrices_of(tensors)
    entropy = entropy0(matrices)
    encode_s, blob = cpu(lambda: encode(tensors, {}, "brotli", lgwin))
    decode_s, back = cpu(lambda: decode(blob)[0])
    assert same(tensors, back)
    integers = len(brotli.compress(b"".join(q.tobytes() for q in matrices), lgwin=lgwin))
    return {
        "entropy0_bytes": entropy,
        "brotli_bytes": len(blob),
        "brotli_over_entropy0": len(blob) / entropy,
        "brotli_integers_over_entropy0": integers / entropy,
        "brotli_projected": projected_bytes(tensors, lambda tensors: b"", "brotli"),
        "brotli_encode_s": encode_s,
        "brotli_decode_s": decode_s,
    }


def of_ans(tensors: Tensors) -> dict:
    """Bytes and time of codec `ans`, over the entropy of these very integers; every bit must come back."""
    matrices = matrices_of(tensors)
    entropy = entropy0(matrices)
    encode_s, blob = cpu(lambda: encode(tensors, {}, "ans"))
    decode_s, back = cpu(lambda: decode(blob)[0])
    assert same(tensors, back)
    side, words = ans.encode(matrices)
    side_bytes = len(brotli.compress(side))
    return {
        "ans_bytes": len(blob),
        "ans_over_entropy0": len(blob) / entropy,
        "ans_entropy0_bytes": entropy,
        "integers_over_entropy0": (len(words) + side_bytes) / entropy,
        "code_words_over_entropy0": len(words) / entropy,
        "side_bytes": side_bytes,
        "fp16_bytes": len(blob) - len(words) - side_bytes,
        "encode_s": encode_s,
        "decode_s": decode_s,
    }


def measure(size: str, steps: int, val_tokens: int, device: str) -> dict:
    cfg, model, facts = trained(size, steps, device)
    torch.set_num_threads(1)
    hessians_s, hessians = cpu(lambda: hessians_of(cfg, model))
    gptq_s, exact = cpu(lambda: quantise(model, hessians, cfg, 0, 1, lambda text: print(text, file=sys.stderr)))
    coarse = quantise(model, hessians, replace(cfg, **COARSE), 0, 1, lambda text: None)
    half = quantise(model, hessians, replace(cfg, **COARSE, embed_scale_power=0.5), 0, 1, lambda text: None)
    rows_s, rows = cpu(lambda: sensitivities_of(cfg, model, hessians))
    if device == "cpu":
        facts |= {"hessians_s": hessians_s, "rows_s": rows_s, "gptq_s": gptq_s}
        facts |= compare_gptq(cfg, model, hessians, exact) | compare_hessians(cfg, model)
        facts["gptq_speedup"] = facts["gptq_reference_s"] / gptq_s
        facts |= of_brotli(exact, cfg.brotli_lgwin)
    facts |= of_ans(coarse)
    facts |= by_role(coarse) | structure_left(coarse)
    facts["ans_bytes_with_exact_fp16"] = len(encode(exact, {}, "ans"))
    facts |= {f"{k}_at_power_half": v for k, v in of_ans(half).items() if k.startswith(("ans", "integers"))}

    damage = Damage(cfg, model, load_validation(cfg)[: val_tokens + 1].to(device))
    facts["val_loss"] = damage.loss_before
    for name, tensors in (("brotli", exact), ("ans", coarse), ("ans_at_power_half", half)):
        facts[f"val_loss_{name}"], facts[f"kl_{name}"] = damage.of(tensors)
    facts |= compare_powers(replace(cfg, **COARSE), hessians, damage)
    facts |= compare_repairs(replace(cfg, **COARSE), model, hessians | rows, damage)
    return {k: round(v, 6) if isinstance(v, float) else v for k, v in facts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=["full", "smoke", "all"], default="all")
    parser.add_argument("--steps", type=int, default=max(steps_kept(), default=16), help="of training the full size")
    parser.add_argument("--val-tokens", type=int, default=8192, help="validation tokens for losses and divergences")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    sizes = ["full", "smoke"] if args.size == "all" else [args.size]
    results = {size: measure(size, args.steps, args.val_tokens, args.device) for size in sizes}
    if args.json:
        print(json.dumps(results, indent=2, allow_nan=False))
        return
    for key in results[sizes[0]]:
        print(f"{key:50}", *(f"{results[size][key]:>16,}" for size in sizes))


if __name__ == "__main__":
    main()
