"""Score-first test-time training: score a chunk, commit its losses, only then train on its tokens.

The stream is cut into chunks. Every window whose first scored input lies in the chunk is scored without gradients, or,
with STREAM_ENABLED, the chunk passes in a stream, after its context under the weights of that moment; then, unless the
chunk is the last, the whole model takes SGD epochs over the chunk's own tokens, all of which have been scored. Every
token is scored before the model trains on it.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from pgolf.trainer.head import training_loss
from pgolf.trainer.model import GPT, raw
from pgolf.trainer.optim import Banks
from pgolf.trainer.score import Scored, rows_that_fit, score_windows, share, sliding_windows


def ttt(
    model: GPT,
    tokens: Tensor,
    want_logp: bool = False,
    rank: int = 0,
    world: int = 1,
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[Scored]:
    """The evaluator; it changes `model`. `say` hears its log line."""
    cfg, total = model.cfg, len(tokens) - 1
    size = cfg.ttt_chunk_tokens
    chunks: list[list[tuple[int, int, int]]] = [[] for _ in range(math.ceil(total / size))]
    for window in sliding_windows(cfg, total):
        chunks[window[1] // size].append(window)
    say(f"ttt:start chunks={len(chunks)} ttt_lr={cfg.ttt_lr} ttt_epochs={cfg.ttt_epochs}")
    banks = Banks(raw(model))
    optimizer = torch.optim.SGD(banks.values(), lr=cfg.ttt_lr, momentum=cfg.ttt_momentum, nesterov=cfg.ttt_nesterov)
    for c, windows in enumerate(chunks):
        if cfg.stream_enabled:
            from pgolf.trainer.stream import score_span

            yield from score_span(model, tokens, c * size, min((c + 1) * size, total), want_logp, rank, world)
        else:
            part = share(len(windows), rank, world)
            yield from score_windows(model, tokens, windows[part.start : part.stop], want_logp)
        if c < len(chunks) - 1:
            optimizer.param_groups[0]["lr"] = cfg.ttt_lr * 0.5 * (1 + math.cos(math.pi * c / (len(chunks) - 1)))
            knobs = cfg.ttt_epochs, cfg.ttt_batch_seqs, cfg.ttt_grad_clip
            train_chunk(model, model, banks, optimizer, tokens[c * size : (c + 1) * size + 1], *knobs, rank, world)


def train_chunk(
    model: GPT,
    forward: Callable[[Tensor], Tensor],
    banks: Banks,
    optimizer: torch.optim.Optimizer,
    tokens: Tensor,
    epochs: int,
    batch: int,
    clip: float,
    rank: int,
    world: int,
) -> None:
    """Epochs over a chunk's whole sequences, at most `batch` a rank and step, as many at once as fit.
    `forward` gives the model's states of sequences."""
    cfg, device = model.cfg, model.tok_emb.weight.device
    length = cfg.eval_seq_len
    n = (len(tokens) - 1) // length
    if n == 0:
        return
    x, y = tokens[: n * length].view(n, length), tokens[1 : n * length + 1].view(n, length)
    micro = max(1, rows_that_fit(cfg, device, training=True) // length)
    for _ in range(epochs):
        for at in range(0, n, batch * world):
            step = min(batch * world, n - at)
            part = share(step, rank, world)
            banks.zero_grad()
            for i in range(at + part.start, at + part.stop, micro):
                rows = slice(i, min(i + micro, at + part.stop))
                loss = training_loss(model, forward(x[rows].to(device)), y[rows].to(device))
                (loss * (rows.stop - rows.start) * world / step).backward()
            banks.average_grads(world)
            banks.clip_grads(clip)
            optimizer.step()
