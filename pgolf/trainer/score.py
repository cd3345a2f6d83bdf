"""Evaluators: each takes the token stream and yields, for every position once and in order, the loss in nats.

A position t is the index of a target: it is scored from tokens before t only. A `Scored` is the first
position, float32 losses `[n]` of n consecutive positions, and on request their full log-distributions. A rank
yields its own contiguous share; sums are taken in float64, bytes as integers.
"""

import math
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor

from pgolf.trainer.config import Config
from pgolf.trainer.head import token_losses
from pgolf.trainer.model import GPT, raw
from pgolf.trainer.token_bytes import TokenBytes

Scored = tuple[int, Tensor, Tensor | None]


def rows_that_fit(cfg: Config, device: torch.device, training: bool = False) -> int:
    """Tokens to run through the model at once. On a GPU what a share of its free memory holds; on a CPU few enough
    that activations stay in cache."""
    if device.type != "cuda":
        return max(1024, (1 << 18) // cfg.model_dim)
    visits = cfg.num_layers + cfg.num_loops * (cfg.loop_end - cfg.loop_start + 1)
    each = cfg.model_dim * 2 * (40 * visits if training else 64)
    return max(cfg.eval_seq_len, int(torch.cuda.mem_get_info()[0] * 0.5) // each)


def share(n: int, rank: int, world: int) -> range:
    """This rank's contiguous part of n items."""
    return range(n * rank // world, n * (rank + 1) // world)


def score_windows(model: GPT, tokens: Tensor, windows: list[tuple[int, int, int]], want_logp: bool) -> Iterator[Scored]:
    """Score windows (start, first scored input, end), inputs `tokens[start:end]`, targets one later.

    Neighbours of equal shape run as one batch, and only scored positions pass the last block's queries and the head. A
    compiled model runs a shape eagerly the first time: most shapes come once, and compiling takes long.
    """
    device = model.tok_emb.weight.device
    fit, i = rows_that_fit(model.cfg, device), 0
    while i < len(windows):
        start, first, end = windows[i]
        j = i + 1
        while j < len(windows) and (j - i + 1) * (end - start) <= fit:
            s, f, e = windows[j]
            if (e - s, f - s) != (end - start, first - start):
                break
            j += 1
        batch = torch.stack([tokens[s:e] for s, _, e in windows[i:j]]).to(device)
        targets = torch.cat([tokens[f + 1 : e + 1] for _, f, e in windows[i:j]]).to(device)
        shape = j - i, start - end, first - start
        run = model if shape in model.seen else raw(model)
        model.seen.add(shape)
        with torch.no_grad():
            states = run(batch, first - start).flatten(0, 1)
            losses, logp = token_losses(model, states, targets, want_logp)
        yield first + 1, losses, logp
        i = j


def fixed_windows(cfg: Config, total: int) -> list[tuple[int, int, int]]:
    """Sequences of EVAL_SEQ_LEN side by side; the last may be shorter. `total` inputs."""
    n = cfg.eval_seq_len
    return [(s, s, min(s + n, total)) for s in range(0, total, n)]


def sliding_windows(cfg: Config, total: int) -> list[tuple[int, int, int]]:
    """Windows of EVAL_SEQ_LEN every EVAL_STRIDE: the first scores all its positions, later ones what is new."""
    n, stride = cfg.eval_seq_len, cfg.eval_stride
    starts = [s for s in range(0, total, stride) if s == 0 or s + n - stride < total]
    return [(s, s + n - stride if s else 0, min(s + n, total)) for s in starts]


def score_rows(model: GPT, rows: Iterator[tuple[int, Tensor, Tensor]], want_logp: bool) -> Iterator[Scored]:
    """Score rows (first input, tokens, bounds) of text cut into segments.

    Nothing is compiled: that took a minute on an H100, and of eight ranks each has some 90 rows.
    """
    device = model.tok_emb.weight.device
    for start, row, bounds in rows:
        row, bounds = row.to(device), bounds.to(device)
        with torch.no_grad():
            states = raw(model)(row[None, :-1], 0, bounds)[0]
            losses, logp = token_losses(model, states, row[1:], want_logp)
        yield start + 1, losses, logp


def fixed(model: GPT, tokens: Tensor, want_logp: bool = False, rank: int = 0, world: int = 1) -> Iterator[Scored]:
    """Non-overlapping sequences."""
    if model.cfg.doc_attention_enabled:
        from pgolf.trainer.doc_attention import rows

        return (
            yield from score_rows(model, rows(model.cfg, tokens, partial(share, rank=rank, world=world)), want_logp)
        )
    windows = fixed_windows(model.cfg, len(tokens) - 1)
    part = share(len(windows), rank, world)
    yield from score_windows(model, tokens, windows[part.start : part.stop], want_logp)


def sliding(model: GPT, tokens: Tensor, want_logp: bool = False, rank: int = 0, world: int = 1) -> Iterator[Scored]:
    """Overlapping windows: every position but the first window's sees at least EVAL_SEQ_LEN − EVAL_STRIDE tokens."""
    windows = sliding_windows(model.cfg, len(tokens) - 1)
    part = share(len(windows), rank, world)
    yield from score_windows(model, tokens, windows[part.start : part.stop], want_logp)


def evaluate(
    scored: Iterator[Scored],
    tokens: Tensor,
    counter: TokenBytes,
    world: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[float, float, float]:
    """Run an evaluator and sum up over ranks: (nats per token, bits per byte, seconds). Bytes are of what is scored.

    RuntimeError if the positions scored by all ranks are not as many as the stream has, or the loss is not finite.
    """
    started = time.perf_counter()
    sizes = counter.count(tokens)
    loss, n_bytes, count = 0.0, 0, 0
    device = torch.device("cpu")
    for start, losses, _ in scored:
        device = losses.device
        loss += losses.double().sum()  # type: ignore[assignment]  # a tensor, so that nothing waits for a GPU
        n_bytes += int(sizes[start - 1 : start - 1 + len(losses)].sum())
        count += len(losses)
        progress(count, (len(tokens) - 1) // world)
    # counts stay below 2^53, so float64 holds them exactly
    sums = torch.tensor([float(loss), n_bytes, count], dtype=torch.float64, device=device)
    if world > 1:
        dist.all_reduce(sums)
    loss, n_bytes, count = sums.tolist()
    if count != len(tokens) - 1:
        raise RuntimeError(f"{int(count)} positions were scored, the stream has {len(tokens) - 1}")
    mean = loss / count
    if not math.isfinite(mean):
        raise RuntimeError("the validation loss is not finite")
    return mean, loss / math.log(2) / n_bytes, time.perf_counter() - started
