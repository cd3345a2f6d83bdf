"""Phased test-time training, one document at a time: the slow and obvious form of pgolf.trainer.phased_ttt.

`params` are a trainer's parameters by name, in float64. A document's adapters are {name: (A, B)}, name one of q, k, v,
o, mlp (A `[visits, rank, dim]`, B `[visits, out, rank]`) and head (one visit).
"""

import math
from types import SimpleNamespace

import torch
from torch import Tensor

from . import evaluate, model, of_trainer

LANES = 8
Adapters = dict[str, tuple[Tensor, Tensor]]


def documents(tokens: Tensor, bos: int) -> list[tuple[int, int]]:
    """(first input, last target) of each."""
    found, start = [], 0
    for i in range(1, len(tokens)):
        if tokens[i] == bos or i == len(tokens) - 1:
            found.append((start, i))
            start = i
    return found


def losses(params: dict, adapters: Adapters, inputs: Tensor, targets: Tensor, shape: dict) -> Tensor:
    """Nats of the targets of one window of one document: every adapter multiplied out, and added to its matrix."""
    base = of_trainer.as_model(params, shape)
    scale = shape["ttt_lora_alpha"] / shape["ttt_lora_rank"]
    full = {name: [scale * b[i] @ a[i] for i in range(len(a))] for name, (a, b) in adapters.items()}
    visits = []
    left, right = model.virtual_order(shape, True)
    for visit, i in enumerate(left + right):
        block = dict(base["blocks"][i])
        for name in full.keys() & {"q", "k", "v"}:
            block[name] = block[name] + full[name][visit]
        for name in full.keys() & {"o", "mlp"}:
            block[f"{name}_beside"] = full[name][visit]
        visits.append(block)
    h = model.hidden_states(inputs, base | {"visits": visits}, shape, True)
    z = h @ (base["embedding"] + full["head"][0]).T
    z = shape["logit_softcap"] * torch.tanh(z / shape["logit_softcap"])
    return torch.logsumexp(z, -1) - z.gather(1, targets[:, None])[:, 0]


def score_document(
    params: dict, fresh: Adapters, tokens: Tensor, span: tuple[int, int], steps: int, cfg, shape: dict
) -> tuple[Tensor, Adapters]:
    """Nats of each target, and the adapters after `steps` steps; those beyond the document have no gradient."""
    first, last = span
    leaves = {(k, i): t.clone() for k, pair in fresh.items() for i, t in enumerate(pair)}
    momenta = {k: (torch.zeros_like(t), torch.zeros_like(t)) for k, t in leaves.items()}
    scores, taken = [], 0

    def window(at: int) -> tuple[Tensor, dict]:
        """Losses of the chunk whose first target comes after input `at`, and the leaves they were made with."""
        end = min(at + cfg.ttt_chunk_size, last)
        begin = max(first, at + cfg.ttt_chunk_size - cfg.ttt_eval_seq_len)
        variables = {k: t.requires_grad_() for k, t in leaves.items()}
        pairs = {k: (variables[k, 0], variables[k, 1]) for k in fresh}
        return losses(params, pairs, tokens[begin:end], tokens[begin + 1 : end + 1], shape)[at - begin :], variables

    for chunk in range(steps + 1):
        at = first + chunk * cfg.ttt_chunk_size
        if at < last:
            scores.append(window(at)[0].detach())
        if chunk == steps:
            break
        for _ in range(cfg.ttt_grad_steps):
            grads = {k: torch.zeros_like(t) for k, t in leaves.items()}
            if at + cfg.ttt_chunk_size < last:  # not the document's last chunk
                nats, variables = window(at)
                found = torch.autograd.grad(nats.mean(), list(variables.values()))
                grads = dict(zip(variables, found, strict=True))
            taken += 1
            leaves = {k: step(t.detach(), grads[k], momenta[k], taken, cfg) for k, t in leaves.items()}
    return torch.cat(scores), {k: (leaves[k, 0].detach(), leaves[k, 1].detach()) for k in fresh}


def step(p: Tensor, g: Tensor, momenta: tuple[Tensor, Tensor], t: int, cfg) -> Tensor:
    """AdamW's t-th step, or SGD's."""
    m, v = momenta
    if cfg.ttt_optimizer == "sgd":
        m.mul_(cfg.ttt_beta1).add_(g + cfg.ttt_weight_decay * p)
        return p - cfg.ttt_lora_lr * m
    p = p * (1 - cfg.ttt_lora_lr * cfg.ttt_weight_decay)
    m.mul_(cfg.ttt_beta1).add_((1 - cfg.ttt_beta1) * g)
    v.mul_(cfg.ttt_beta2).add_((1 - cfg.ttt_beta2) * g * g)
    mean, square = m / (1 - cfg.ttt_beta1**t), v / (1 - cfg.ttt_beta2**t)
    return p - cfg.ttt_lora_lr * mean / (square.sqrt() + 1e-10)


def score(params: dict, drawn: dict[str, Tensor], tokens: Tensor, cfg, bos: int) -> tuple[Tensor, dict, list]:
    """Nats of each target, the parameters at the end, and each phase's documents. `drawn`: A `[visits, rank, dim]`."""
    shape, found = of_trainer.shape_of(cfg), documents(tokens, bos)
    outputs = {
        "head": cfg.vocab_size,
        **dict.fromkeys("qo", cfg.model_dim),
        **dict.fromkeys("kv", cfg.model_dim // cfg.num_heads * cfg.num_kv_heads),
        "mlp": cfg.model_dim,
    }
    fresh = {
        k: (a.double(), torch.zeros(len(a), outputs[k], cfg.ttt_lora_rank, dtype=torch.float64))
        for k, a in drawn.items()
    }
    nats, phases = torch.zeros(len(tokens), dtype=torch.float64), []
    groups = cfg.phased_ttt_group_docs or len(found)
    due = [cfg.phased_ttt_prefix_docs * k // cfg.phased_ttt_num_phases for k in range(1, cfg.phased_ttt_num_phases + 1)]
    scored, in_hand, free, kept = [], None, [0] * LANES, {}
    for at in range(0, len(found), groups):
        group = sorted(found[at : at + groups], key=lambda d: d[1] - d[0])
        batches = [group[i : i + cfg.ttt_batch_size] for i in range(0, len(group), cfg.ttt_batch_size)]
        while batches:
            batch = batches.pop()
            lane = free.index(min(free))
            free[lane] += sum((e - s) * min(e - s, cfg.ttt_eval_seq_len) for s, e in batch)
            steps = (max(e - s for s, e in batch) - 1) // cfg.ttt_chunk_size
            warm = len(batch) == cfg.ttt_batch_size and cfg.ttt_warm_start_a and not cfg.phased_ttt_group_docs
            for slot, (s, e) in enumerate(batch):
                start = kept.get((lane, slot), fresh) if warm else fresh
                nats[s + 1 : e + 1], after = score_document(params, start, tokens, (s, e), steps, cfg, shape)
                if warm:
                    kept[lane, slot] = {k: (after[k][0], fresh[k][1]) for k in fresh}
            scored += batch
            if in_hand is not None:
                in_hand -= 1
            elif due and len(scored) >= due[0]:
                in_hand = LANES - 1
            now = in_hand == 0 if not cfg.phased_ttt_group_docs else in_hand is not None and not batches
            if now and (batches or at + groups < len(found)):
                phases.append(sorted(scored, key=lambda d: (d[1] - d[0], d))[: due.pop(0)])
                params = learn(params, tokens, phases[-1], cfg, shape)
                in_hand, kept, free = None, {}, [0] * LANES
        if cfg.phased_ttt_group_docs:
            free = [0] * LANES
    return nats[1:], params, phases


def learn(params: dict, tokens: Tensor, docs: list[tuple[int, int]], cfg, shape: dict) -> dict:
    """The parameters after a phase on these documents."""
    text = torch.cat([tokens[s:e] for s, e in docs] + [tokens[docs[-1][1]][None]])
    size, length = cfg.global_ttt_chunk_tokens, cfg.eval_seq_len
    chunks, warm = math.ceil((len(text) - 1) / size), cfg.global_ttt_warmup_chunks
    knobs = SimpleNamespace(ttt_momentum=cfg.global_ttt_momentum, ttt_grad_clip=cfg.global_ttt_grad_clip)
    buffers = {name: torch.zeros_like(p) for name, p in params.items()}

    def plain(params: dict, inputs: Tensor, targets: Tensor) -> Tensor:
        segment = length if cfg.doc_attention_enabled and cfg.global_ttt_respect_doc_boundaries else 0
        return model.losses(inputs, targets, of_trainer.as_model(params, shape), shape, True, segment)

    for c in range(chunks - 1):
        rate = cfg.global_ttt_lr * (1 + math.cos(math.pi * (c - warm) / max(1, chunks - 1 - warm))) / 2
        if c < warm:
            low = cfg.global_ttt_warmup_start_lr
            rate = low + (cfg.global_ttt_lr - low) * c / max(1, warm - 1)
        rows = [text[s : s + length + 1] for s in range(c * size, (c + 1) * size - length + 1, length)]
        for _ in range(cfg.global_ttt_epochs):
            for i in range(0, len(rows), cfg.global_ttt_batch_seqs):
                stack = torch.stack(rows[i : i + cfg.global_ttt_batch_seqs])
                params, buffers = evaluate.sgd_step(plain, params, buffers, stack, rate, knobs)
    return params
