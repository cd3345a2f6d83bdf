"""Scoring a split: sliding windows, and score-first test-time training; one window, one chunk at a time.

`losses(params, inputs, targets)` is whatever model is scored: token ids [batch, time] → nats [batch, time].
The split is `tokens`: position i of it is scored as the target that follows tokens[: i + 1].
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

Losses = Callable[[dict, Tensor, Tensor], Tensor]


def windows(total: int, window: int, stride: int) -> list[tuple[int, int, int]]:
    """(start, first scored, end) of each window over `total` targets; positions count targets of the split."""
    out = []
    for start in range(0, total, stride):
        new = start + window - stride
        if start == 0:
            out.append((0, 0, min(window, total)))
        elif new < total:
            out.append((start, new, min(start + window, total)))
    return out


def plain(losses: Losses, params: dict, tokens: Tensor, seq_len: int) -> Tensor:
    """Nats of each target, [targets], in sequences that do not overlap."""
    scores = []
    for start in range(0, len(tokens) - 1, seq_len):
        part = tokens[start : start + seq_len + 1]
        with torch.no_grad():
            scores.append(losses(params, part[None, :-1], part[None, 1:])[0])
    return torch.cat(scores)


def score_window(losses: Losses, params: dict, tokens: Tensor, span: tuple[int, int, int]) -> Tensor:
    start, first, end = span
    with torch.no_grad():
        nats = losses(params, tokens[None, start:end], tokens[None, start + 1 : end + 1])[0]
    return nats[first - start :]


def sliding(losses: Losses, params: dict, tokens: Tensor, window: int, stride: int) -> Tensor:
    """Nats of each target, [targets], each scored by the one window that scores it."""
    return torch.cat([score_window(losses, params, tokens, span) for span in windows(len(tokens) - 1, window, stride)])


def score_first(losses: Losses, params: dict, tokens: Tensor, cfg) -> tuple[Tensor, dict]:
    """Nats of each target and the parameters at the end: every chunk scored, then trained on unless it is the last.

    `cfg` has the knobs EVAL_SEQ_LEN, EVAL_STRIDE and TTT_*.
    """
    total, window, stride, chunk = len(tokens) - 1, cfg.eval_seq_len, cfg.eval_stride, cfg.ttt_chunk_tokens
    chunks = math.ceil(total / chunk)
    buffers = {name: torch.zeros_like(p) for name, p in params.items()}
    scores = []
    for c in range(chunks):
        for span in windows(total, window, stride):
            if c * chunk <= span[1] < (c + 1) * chunk:
                scores.append(score_window(losses, params, tokens, span))
        if c == chunks - 1:
            break
        rate = cfg.ttt_lr * 0.5 * (1 + math.cos(math.pi * c / (chunks - 1)))
        sequences = [tokens[s : s + window + 1] for s in range(c * chunk, (c + 1) * chunk - window + 1, window)]
        for _ in range(cfg.ttt_epochs):
            for first in range(0, len(sequences), cfg.ttt_batch_seqs):
                stack = torch.stack(sequences[first : first + cfg.ttt_batch_seqs])
                params, buffers = sgd_step(losses, params, buffers, stack, rate, cfg)
    return torch.cat(scores), params


def sgd_step(losses: Losses, params: dict, buffers: dict, stack: Tensor, lr: float, cfg) -> tuple[dict, dict]:
    """One step of SGD with momentum on sequences `stack` [batch, time + 1]; new parameters and buffers."""
    leaves = {name: p.detach().requires_grad_() for name, p in params.items()}
    losses(leaves, stack[:, :-1], stack[:, 1:]).mean().backward()
    grads = {name: p.grad if p.grad is not None else torch.zeros_like(p) for name, p in leaves.items()}
    norm = math.sqrt(sum(float((g.double() ** 2).sum()) for g in grads.values()))
    grads = {name: g * min(1.0, cfg.ttt_grad_clip / (norm + 1e-6)) for name, g in grads.items()}
    buffers = {name: cfg.ttt_momentum * buffers[name] + g for name, g in grads.items()}
    return {name: p.detach() - lr * buffers[name] for name, p in leaves.items()}, buffers
