"""A trainer's model in the reference's terms. The one module here that knows how pgolf.trainer names things."""

from dataclasses import asdict

import torch
from torch import Tensor

MATRICES = {
    "q": "attn.c_q.weight",
    "k": "attn.c_k.weight",
    "v": "attn.c_v.weight",
    "out": "attn.proj.weight",
    "up": "mlp.fc.weight",
    "down": "mlp.proj.weight",
}


def parameters(model, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Leaf copies of the trainer's parameters, by its names."""
    return {n: p.detach().to(dtype, copy=True).requires_grad_() for n, p in model.named_parameters()}


def as_model(named: dict[str, Tensor], shape: dict) -> dict:
    """The reference's model over tensors by the trainer's names."""
    blocks = []
    for i in range(shape["num_layers"]):
        own = {n.removeprefix(f"blocks.{i}."): p for n, p in named.items() if n.startswith(f"blocks.{i}.")}
        block = {name: own[theirs] for name, theirs in MATRICES.items()}
        block |= {"attn_scale": own["attn_scale"], "mlp_scale": own["mlp_scale"], "q_gain": own["attn.q_gain"]}
        block |= {"mix_x": own["resid_mix"][0], "mix_x0": own["resid_mix"][1]}
        early = i < shape["num_layers"] // 2 and shape["attn_window_early"]
        block["window"] = shape["attn_window"] and (early or shape["attn_window"])
        block["xsa"] = i >= shape["num_layers"] - shape["xsa_last_n"]
        for gate in ("attn.gate", "attn.gate.heads"):
            if gate in own:
                block["gate"] = own[gate]
        if "lanes.resid" in named:
            block |= {"resid": named["lanes.resid"][i], "post": named["lanes.post"][i]}
        blocks.append(block)
    smear = {}
    if "smear.gate" in named:
        smear = {"smear_weight": named["smear.gate"][0], "smear_scale": named["smear.scale"][0]}
    return smear | {
        "embedding": named["tok_emb.weight"],
        "blocks": blocks,
        "skip_weight": named["skip_weights"],
        "skip_gate": named.get("skip_gates"),
    }


def matrix_name(seen: str) -> str:
    """The trainer's name of the matrix that the reference calls `3.up`, or `embedding`."""
    layer, _, name = seen.partition(".")
    return f"blocks.{layer}.{MATRICES[name]}" if name else "tok_emb.weight"


def shape_of(cfg) -> dict:
    return asdict(cfg)
