"""Scoring in a stream, one token at a time: each visit of a block keeps the keys and values of the last positions.

Models, blocks and shapes are those of `model`. Keys are kept as they were before they turned, and turn with the
distance to the query.
"""

import math

import torch
from torch import Tensor

from reference.model import (
    branch_scale,
    head_gate,
    mlp,
    rms_norm,
    smeared,
    virtual_order,
    without_own_value,
)


def turned(x: Tensor, distances: Tensor, shape: dict) -> Tensor:
    """One head's vectors [n, head size], each turned back by its distance in tokens."""
    n, out = shape["rope_dims"], x.clone()
    for j in range(n // 2):
        angle = -distances * shape["rope_base"] ** (-2 * j / n)
        a, b = x[:, j], x[:, j + n // 2]
        out[:, j] = a * angle.cos() + b * angle.sin()
        out[:, j + n // 2] = -a * angle.sin() + b * angle.cos()
    return out


def attention(x: Tensor, kept: list, block: dict, shape: dict) -> Tensor:
    """One position's branch input [dim] → branch output; `kept` holds (keys, values) of positions before, by head."""
    heads, kv_heads = shape["num_heads"], shape["num_kv_heads"]
    size = len(x) // heads
    q, k, v = ((block[name] @ x).view(-1, size) for name in ("q", "k", "v"))
    kept.append((rms_norm(k), v))
    own, widest = block["window"], shape["attn_window"]
    del kept[: -max(1, shape["stream_window"] * own // widest if widest else shape["stream_window"])]
    outputs, distances = [], torch.arange(len(kept), dtype=x.dtype).flip(0)
    for h in range(heads):
        kv = h // (heads // kv_heads)
        query = rms_norm(q[h]) * block["q_gain"][h]
        keys = turned(torch.stack([keys[kv] for keys, _ in kept]), distances, shape)
        weights = torch.softmax(keys @ query / math.sqrt(size), 0)
        y = weights @ torch.stack([values[kv] for _, values in kept])
        if block["xsa"]:
            y = without_own_value(y[None], v[kv][None])[0]
        if "gate" in block:
            y = y * head_gate(x[None], (block["q"] @ x)[None], block["gate"][h], shape)
        outputs.append(y)
    return block["out"] @ torch.cat(outputs)


def step(e: Tensor, kept: list[list], model: dict, shape: dict, looping: bool) -> Tensor:
    """One position's embedding [dim] → its final normed state; `kept` has a list a visit."""
    left, right = virtual_order(shape, looping)
    x = x0 = rms_norm(e)
    lane, saved, two = None, [], shape["parallel_start_layer"]
    for visit, i in enumerate(left + right):
        block, scale = model["blocks"][i], branch_scale(i, shape)
        j = visit - len(left)
        if j >= 0:
            if two > 0 and i >= two and lane is None:
                lane = x
            if saved:
                skip = model["skip_weight"][j] * saved.pop()
                share = 0.5 if model["skip_gate"] is None else torch.sigmoid(model["skip_gate"][j])
                x = x + skip if model["skip_gate"] is None else share * x + (1 - share) * skip
        mixed = block["mix_x"] * x + block["mix_x0"] * x0
        a = block["attn_scale"] * attention(rms_norm(mixed) * scale, kept[visit], block, shape)
        if lane is not None:
            m = block["mlp_scale"] * mlp(rms_norm(lane) * scale, block)
            r, p = block["resid"], block["post"]
            x, lane = r[0] * x + p[0, 0] * a + p[1, 0] * m, r[1] * lane + p[0, 1] * a + p[1, 1] * m
        else:
            reads = mixed if i >= shape["parallel_residual_start"] else mixed + a
            x = mixed + a + block["mlp_scale"] * mlp(rms_norm(reads) * scale, block)
        if j < 0:
            saved.append(x)
    if lane is not None:
        x = {"": (x + lane) / 2, "mean": (x + lane) / 2, "attn": x, "mlp": lane}[shape["parallel_final_lane"]]
    return rms_norm(x)


def losses(tokens: Tensor, model: dict, shape: dict, looping: bool, start: int = 0, stop: int | None = None) -> Tensor:
    """Nats of each target after the inputs from `start` to `stop`, piece by piece."""
    stop, nats = len(tokens) - 1 if stop is None else stop, []
    e = model["embedding"][tokens]
    if "smear_weight" in model:
        e = smeared(e, tokens, model["smear_weight"], model["smear_scale"])
    for first in range(start, stop, shape["stream_piece"]):
        kept = [[] for part in virtual_order(shape, looping) for _ in part]
        for t in range(max(0, first - shape["stream_context"]), min(first + shape["stream_piece"], stop)):
            z = model["embedding"] @ step(e[t], kept, model, shape, looping)
            z = shape["logit_softcap"] * torch.tanh(z / shape["logit_softcap"])
            if t >= first:
                nats.append(torch.logsumexp(z, 0) - z[tokens[t + 1]])
    return torch.stack(nats)
