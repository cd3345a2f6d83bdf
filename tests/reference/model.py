"""The network, one sequence and one head at a time.

`shape` is a dict of sizes and switches, by the names of the knobs. A block is a dict of its tensors: q, k, v, out,
up, down (matrices, [out, in]); o_beside and mlp_beside, matrices from a branch's input straight to its output, where
there are any; q_gain [heads]; mix_x, mix_x0, attn_scale, mlp_scale [dim]; gate [heads, window] where there is one;
resid [2] and post [2, 2] with two lanes. A model: embedding [vocab, dim], blocks, skip_weight and (or None) skip_gate
[skips, dim]; smear_weight [window] and smear_scale where there is a SmearGate; `visits`, a block for each visit in
order, where they differ from its blocks.

`seen(name, x)`, where given, hears every matrix's input [time, dim]: what a Hessian sums up.
"""

import math

import torch
from torch import Tensor

FLOAT32_EPSILON = 2.0**-23


def ignore(name: str, x: Tensor) -> None:
    pass


def rms_norm(x: Tensor) -> Tensor:
    """Each vector of the last dimension over its root mean square."""
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + FLOAT32_EPSILON)


def rotary(x: Tensor, shape: dict) -> Tensor:
    """One head, [time, head size]: the pair (j, j + half) of the first ROPE_DIMS turns by position × frequency."""
    time, n, base, train_len = len(x), shape["rope_dims"], shape["rope_base"], shape["rope_train_seq_len"]
    if time > train_len:
        base = base * (time / train_len) ** (n / (n - 2))
    columns = list(x.unbind(-1))
    for j in range(n // 2):
        angle = torch.arange(time, dtype=torch.float64) * base ** (-2 * j / n)
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        a, b = x[:, j], x[:, j + n // 2]
        columns[j], columns[j + n // 2] = a * cos + b * sin, -a * sin + b * cos
    return torch.stack(columns, -1)


def without_own_value(y: Tensor, v: Tensor) -> Tensor:
    """XSA: a head's output less its component along that position's own value vector, both [time, head size]."""
    unit = v / v.norm(dim=-1, keepdim=True)
    return y - (y * unit).sum(-1, keepdim=True) * unit


def head_gate(x: Tensor, q: Tensor, weight: Tensor, shape: dict) -> Tensor:
    """What one head's outputs are multiplied by, [time]; x is the branch input, q all heads' raw queries."""
    if shape["sparse_attn_gate_enabled"]:
        return torch.sigmoid(shape["sparse_attn_gate_scale"] * (x[:, : len(weight)] @ weight))
    if shape["gated_attn_enabled"]:
        return torch.sigmoid(x @ weight)
    reads = q if shape["attn_out_gate_src"] == "q" else x
    return 2 * torch.sigmoid(reads[:, : len(weight)] @ weight)


def smeared(e: Tensor, tokens: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """SmearGate on raw embeddings [time, dim]: each takes up some of its unsmeared predecessor, a BOS (1) does not."""
    rows = [e[0]]
    for t in range(1, len(e)):
        gate = scale * torch.sigmoid(weight @ e[t, : len(weight)])
        rows.append(e[t] if tokens[t] == 1 else e[t] + gate * e[t - 1])
    return torch.stack(rows)


def segments(tokens: Tensor, length: int) -> list[tuple[int, int]]:
    """(start, end) of a row's segments: from 0, each BOS (1), and every `length` tokens since the last of those."""
    starts, since = [], 0
    for t, token in enumerate(tokens.tolist()):
        if t == 0 or token == 1:
            since = 0
        if since % length == 0:
            starts.append(t)
        since += 1
    return list(zip(starts, [*starts[1:], len(tokens)], strict=True))


def attention(x: Tensor, block: dict, shape: dict, seen=ignore) -> Tensor:
    """One sequence's branch input [time, dim] → branch output [time, dim]."""
    heads, kv_heads = shape["num_heads"], shape["num_kv_heads"]
    size = x.shape[-1] // heads
    for name in ("q", "k", "v"):
        seen(name, x)
    outputs = []
    for h in range(heads):
        kv = h // (heads // kv_heads)
        rows, kv_rows = slice(h * size, (h + 1) * size), slice(kv * size, (kv + 1) * size)
        q = rotary(rms_norm(x @ block["q"][rows].T), shape) * block["q_gain"][h]
        k = rotary(rms_norm(x @ block["k"][kv_rows].T), shape)
        v = x @ block["v"][kv_rows].T
        y = []
        for t in range(len(x)):
            reach = slice(max(0, t + 1 - block["window"]) if block["window"] else 0, t + 1)
            weights = torch.softmax(k[reach] @ q[t] / math.sqrt(size), 0)
            y.append(weights @ v[reach])
        y = without_own_value(torch.stack(y), v) if block["xsa"] else torch.stack(y)
        if "gate" in block:
            y = y * head_gate(x, x @ block["q"].T, block["gate"][h], shape)[:, None]
        outputs.append(y)
    joined = torch.cat(outputs, -1)
    seen("out", joined)
    return joined @ block["out"].T + (x @ block["o_beside"].T if "o_beside" in block else 0)


def mlp(x: Tensor, block: dict, seen=ignore) -> Tensor:
    """LeakyReLU(0.5), then square, between two matrices."""
    seen("up", x)
    hidden = x @ block["up"].T
    hidden = torch.where(hidden > 0, hidden, 0.5 * hidden) ** 2
    seen("down", hidden)
    return hidden @ block["down"].T + (x @ block["mlp_beside"].T if "mlp_beside" in block else 0)


def branch_scale(index: int, shape: dict) -> float:
    """What the normed input of block `index`'s branches is multiplied by."""
    scale = 1 / math.sqrt(index + 1) if shape["ln_scale"] else 1.0
    if shape["loop_branch_scale"] and shape["loop_start"] <= index <= shape["loop_end"]:
        scale /= math.sqrt(shape["num_loops"] + 1)
    return scale


def block_forward(x: Tensor, x0: Tensor, index: int, block: dict, shape: dict, within: list, seen=ignore) -> Tensor:
    """Block `index` on one row [time, dim]; from PARALLEL_RESIDUAL_START on both branches read the same input."""
    scale = branch_scale(index, shape)
    x_in = block["mix_x"] * x + block["mix_x0"] * x0
    with_attention = x_in + block["attn_scale"] * bounded(rms_norm(x_in) * scale, block, shape, within, seen)
    mlp_reads = x_in if index >= shape["parallel_residual_start"] else with_attention
    return with_attention + block["mlp_scale"] * mlp(rms_norm(mlp_reads) * scale, block, seen)


def bounded(x: Tensor, block: dict, shape: dict, within: list, seen=ignore) -> Tensor:
    """Attention of each segment (start, end) by itself, as if nothing else were in the row."""
    return torch.cat([attention(x[start:end], block, shape, seen) for start, end in within])


def lanes_forward(u: Tensor, v: Tensor, x0: Tensor, index: int, block: dict, shape: dict, within: list, seen) -> tuple:
    """Block `index` between two lanes: attention reads u (mixed with x0), the MLP v, both are added to both."""
    scale = branch_scale(index, shape)
    mixed = block["mix_x"] * u + block["mix_x0"] * x0
    a = block["attn_scale"] * bounded(rms_norm(mixed) * scale, block, shape, within, seen)
    m = block["mlp_scale"] * mlp(rms_norm(v) * scale, block, seen)
    r, p = block["resid"], block["post"]
    return r[0] * u + p[0, 0] * a + p[1, 0] * m, r[1] * v + p[0, 1] * a + p[1, 1] * m


def virtual_order(shape: dict, looping: bool) -> tuple[list[int], list[int]]:
    """The blocks in the order in which they are visited: left part, right part."""
    order = []
    for i in range(shape["num_layers"]):
        order.append(i)
        if looping and i == shape["loop_end"]:
            order += list(range(shape["loop_start"], shape["loop_end"] + 1)) * shape["num_loops"]
    return order[: len(order) // 2], order[len(order) // 2 :]


def hidden_states(
    tokens: Tensor, model: dict, shape: dict, looping: bool, seen=ignore, segment_length: int = 0
) -> Tensor:
    """One row of token ids [time] → final normed states [time, dim]; attention within segments if they are given."""

    def named(i: int):
        return lambda name, x: seen(f"{i}.{name}", x)

    def visit(i: int, x: Tensor) -> Tensor:
        return block_forward(x, x0, i, next(visits), shape, within, named(i))

    within = segments(tokens, segment_length) if segment_length else [(0, len(tokens))]
    left, right = virtual_order(shape, looping)
    visits = iter(model.get("visits") or [model["blocks"][i] for i in left + right])
    e = model["embedding"][tokens]
    if "smear_weight" in model:
        e = smeared(e, tokens, model["smear_weight"], model["smear_scale"])
    x = x0 = rms_norm(e)
    lane, two = None, shape["parallel_start_layer"]
    saved = []
    for i in left:
        x = visit(i, x)
        saved.append(x)
    for j, i in enumerate(right):
        if two > 0 and i >= two and lane is None:
            lane = x  # a skip that is due goes into the attention's lane only
        if saved:
            skip = model["skip_weight"][j] * saved.pop()
            if model["skip_gate"] is None:
                x = x + skip
            else:
                share = torch.sigmoid(model["skip_gate"][j])
                x = share * x + (1 - share) * skip
        if lane is None:
            x = visit(i, x)
        else:
            x, lane = lanes_forward(x, lane, x0, i, next(visits), shape, within, named(i))
    if lane is not None:
        x = {"": (x + lane) / 2, "mean": (x + lane) / 2, "attn": x, "mlp": lane}[shape["parallel_final_lane"]]
    x = rms_norm(x)
    seen("embedding", x)
    return x


def logits(tokens: Tensor, model: dict, shape: dict, looping: bool, segment_length: int = 0) -> Tensor:
    """One row of token ids [time] → [time, vocab]; row t is for the token after t."""
    z = hidden_states(tokens, model, shape, looping, segment_length=segment_length) @ model["embedding"].T
    return shape["logit_softcap"] * torch.tanh(z / shape["logit_softcap"])


def losses(tokens: Tensor, targets: Tensor, model: dict, shape: dict, looping: bool, segment_length: int = 0) -> Tensor:
    """Cross-entropy in nats of each target, [batch, time]."""
    rows = []
    for sequence, wanted in zip(tokens, targets, strict=True):
        z = logits(sequence, model, shape, looping, segment_length)
        rows.append(torch.stack([torch.logsumexp(z[t], 0) - z[t, wanted[t]] for t in range(len(wanted))]))
    return torch.stack(rows)


def initial_weights(shape: dict, seed: int) -> dict:
    """The weights that a seed stands for: constructors draw and are overwritten, in the order of the modules.

    Embedding N(0, std²); orthogonal where both sides are at least 64; zero where a branch ends; all matrices
    rounded once to bf16.
    """
    torch.manual_seed(seed)
    dim, hidden = shape["model_dim"], int(shape["mlp_mult"] * shape["model_dim"])
    kv = dim // shape["num_heads"] * shape["num_kv_heads"]
    sides = {"q": (dim, dim), "k": (kv, dim), "v": (kv, dim), "out": (dim, dim)}
    sides |= {"up": (hidden, dim), "down": (dim, hidden)}
    embedding = torch.nn.Embedding(shape["vocab_size"], dim).weight.detach()
    blocks = [
        {name: torch.nn.Linear(columns, rows, bias=False).weight.detach() for name, (rows, columns) in sides.items()}
        for _ in range(shape["num_layers"])
    ]
    embedding.normal_(0, shape["tied_embed_init_std"])
    for block in blocks:
        for name, w in block.items():
            if name in ("out", "down"):
                w.zero_()
            elif min(w.shape) >= 64:
                torch.nn.init.orthogonal_(w)
            w.copy_(w.bfloat16())
    return {"embedding": embedding, "blocks": blocks}
