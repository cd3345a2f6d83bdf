"""Phased test-time training: every document adapts low-rank adapters of its own; now and then the whole model learns.

A document is a BOS and what follows, up to and including the next BOS as its last target. Documents of like length run
as a batch, in step: a chunk of each is scored and handed over, and only then trained on; the last chunk of a document
never is. No document's adapters see another's tokens, and they start anew with each batch, but for A (warm start),
which batches of one lane pass on. Between blocks of batches, SGD trains all parameters on documents that have been
scored (a *phase*).

Longest documents come first, as in the record. That order is known from where documents begin, before any of them is
scored, which a strict reading of "left to right" does not allow. PHASED_TTT_GROUP_DOCS > 0 is for that reading: so many
consecutive documents are scored from one and the same state and handed over in the stream's order.
"""

import math
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import partial
from itertools import accumulate, pairwise
from operator import itemgetter
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from pgolf.trainer.adapt import train_chunk
from pgolf.trainer.config import BOS, Config
from pgolf.trainer.model import GPT
from pgolf.trainer.optim import Banks
from pgolf.trainer.primitives import linear
from pgolf.trainer.score import Scored, rows_that_fit

# The record has 8 ranks. Here any number of ranks does their work in the same 8 lanes, for the same numbers: a phase
# waits for the batches that are in work, and A passes between the batches of one lane.
LANES = 8

Document = tuple[int, int]  # first input, end; targets are one later
Batch = list[Document]


def length(document: Document) -> int:
    return document[1] - document[0]


def documents(tokens: Tensor) -> list[Document]:
    """All documents; the stream's ends cut the first and the last."""
    starts = (torch.nonzero(tokens[1:-1] == BOS).flatten() + 1).tolist()
    return list(pairwise([0, *starts, len(tokens) - 1]))


def boundaries_of(cfg: Config) -> list[int]:
    """How many documents have to be scored before each phase."""
    n = cfg.phased_ttt_num_phases
    return [cfg.phased_ttt_prefix_docs * (k + 1) // n for k in range(n)]


def blocks_of(cfg: Config, tokens: Tensor) -> list[tuple[list[Batch], Batch]]:
    """(batches to score, documents to train on after them), from beginning to end. Nothing but the places of BOS
    decides it."""
    docs, size, boundaries = documents(tokens), cfg.ttt_batch_size, boundaries_of(cfg)
    group = cfg.phased_ttt_group_docs or len(docs)
    blocks, scored = [], []  # type: ignore[var-annotated]
    for at in range(0, len(docs), group):
        part = sorted(docs[at : at + group], key=length)
        queue = [part[i : i + size] for i in range(0, len(part), size)][::-1]
        while queue:
            take = len(queue)
            if boundaries and not cfg.phased_ttt_group_docs:
                counts = enumerate(accumulate(map(len, queue)), LANES)
                take = next((i for i, n in counts if len(scored) + n >= boundaries[0]), take)
            block, queue = queue[:take], queue[take:]
            scored += [document for batch in block for document in batch]
            due = boundaries and len(scored) >= boundaries[0]
            # the longest of those scored are left out, as in the record
            blocks.append((block, sorted(scored, key=lambda d: (length(d), d))[: boundaries.pop(0)] if due else []))
    blocks[-1] = blocks[-1][0], []  # nothing is left to score
    return blocks


def lanes_of(batches: list[Batch], seq_len: int) -> list[int]:
    """The lane of each batch: the one that would be free first, were time what attention windows cost."""
    free, lanes = [0] * LANES, []
    for batch in batches:
        lanes.append(free.index(min(free)))
        free[lanes[-1]] += sum(length(d) * min(length(d), seq_len) for d in batch)
    return lanes


class Adapters:
    """Low-rank pairs, W x + α/rank·B(A x): one a document, product and visit of a block, and one for the head.

    q, k, v and o read the attention's branch input (o is added to its output), mlp the MLP's. They hang on `model`,
    whose forward passes are of documents `at(rows)`, until `take_off()`.
    """

    def __init__(self, model: GPT):
        self.model, self.cfg = model, model.cfg
        cfg, device = model.cfg, model.tok_emb.weight.device
        visits, kv = (
            sum(map(len, model.virtual_order(model.looping))),
            cfg.model_dim // cfg.num_heads * cfg.num_kv_heads,
        )
        self.shapes = {"q": (visits, cfg.model_dim), "v": (visits, kv), "head": (1, cfg.vocab_size)}
        optional = {"k": (cfg.ttt_k_lora, kv), "o": (cfg.ttt_o_lora, cfg.model_dim)}
        optional |= {"mlp": (cfg.ttt_mlp_lora, cfg.model_dim)}
        self.shapes |= {name: (visits, out) for name, (wanted, out) in optional.items() if wanted}
        # one draw for all documents and runs: which slot, rank or seed a document has changes nothing
        draw, bound = torch.Generator().manual_seed(0), cfg.model_dim**-0.5
        self.drawn = {
            name: torch.empty(n, 1, cfg.ttt_lora_rank, cfg.model_dim).uniform_(-bound, bound, generator=draw).to(device)
            for name, (n, _) in self.shapes.items()
        }
        self.pairs: dict[str, list[tuple[Tensor, Tensor]]] = {}
        self.hooks = []
        for block in model.blocks:
            block.attn.adapt = self.qkv  # type: ignore[union-attr]  # blocks are Blocks
            self.hooks += [
                block.attn.register_forward_hook(lambda _, args, y: self.plus("o", y, args[0][:, args[2] :])),  # type: ignore[union-attr]
                block.mlp.register_forward_hook(lambda _, args, y: self.plus("mlp", y, args[0])),  # type: ignore[union-attr]
            ]

    def take_off(self) -> None:
        for hook in self.hooks:
            hook.remove()
        for block in self.model.blocks:
            block.attn.adapt = None  # type: ignore[union-attr]

    def reset(self, n: int, kept: dict[str, Tensor] | None) -> None:
        """Those of n documents: B zero, A as drawn or `kept`, an optimiser without memory."""
        cfg, device, rank = self.cfg, self.model.tok_emb.weight.device, self.cfg.ttt_lora_rank
        self.a = {k: a.expand(-1, n, -1, -1).clone().requires_grad_() for k, a in (kept or self.drawn).items()}
        self.b = {
            k: torch.zeros(visits, n, out, rank, device=device, requires_grad=True)
            for k, (visits, out) in self.shapes.items()
        }
        options = {"lr": cfg.ttt_lora_lr, "weight_decay": cfg.ttt_weight_decay}
        leaves = [*self.a.values(), *self.b.values()]
        if cfg.ttt_optimizer == "sgd":
            self.optimizer = torch.optim.SGD(leaves, momentum=cfg.ttt_beta1, **options)  # type: ignore[arg-type]
        else:
            self.optimizer = torch.optim.AdamW(  # type: ignore[assignment]
                leaves,
                betas=(cfg.ttt_beta1, cfg.ttt_beta2),
                eps=1e-10,
                **options,  # type: ignore[arg-type]
            )

    def release(self) -> dict[str, Tensor]:
        """Forget the documents; gives their A."""
        kept = {k: a.detach() for k, a in self.a.items()}
        del self.a, self.b, self.optimizer
        self.pairs = {}
        return kept

    def at(self, rows: slice) -> None:
        """Let the next forward pass be of these documents."""
        self.visit = -1
        self.pairs = {
            k: list(zip(a[:, rows].unbind(), self.b[k][:, rows].unbind(), strict=True)) for k, a in self.a.items()
        }

    def plus(self, name: str, y: Tensor, x: Tensor) -> Tensor:
        if name not in self.pairs:
            return y
        a, b = self.pairs[name][self.visit]
        return y + self.cfg.ttt_lora_alpha / self.cfg.ttt_lora_rank * (x @ a.mT.to(x.dtype)) @ b.mT.to(x.dtype)

    def qkv(self, n: Tensor, first: int, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.visit += 1
        return self.plus("q", q, n[:, first:]), self.plus("k", k, n), self.plus("v", v, n)

    def log_probabilities(self, inputs: Tensor, first: int) -> Tensor:
        """Inputs `[B, T]` to log p `[B, T − first, V]`."""
        states, cap = self.model(inputs, first), self.cfg.logit_softcap
        self.visit = 0
        z = self.plus("head", linear(states, self.model.tok_emb.weight), states).float()
        return F.log_softmax(cap * torch.tanh(z / cap), dim=-1)


def slices(first: int, last: int, most: int) -> list[slice]:
    return [slice(i, min(i + max(1, most), last)) for i in range(first, last, max(1, most))]


def score_batch(adapters: Adapters, tokens: Tensor, batch: Batch, fit: int, want_logp: bool) -> Iterator[Scored]:
    """Score documents (shortest first) and adapt to each, in step, `fit` tokens at once."""
    cfg, device, lengths = adapters.cfg, adapters.model.tok_emb.weight.device, [length(d) for d in batch]
    size, text = cfg.ttt_chunk_size, pad_sequence([tokens[s : e + 1] for s, e in batch], batch_first=True).to(device)
    for at in range(0, lengths[-1], size):
        # a whole chunk's window, also where the document ends within the chunk: nobody knows that end before
        start = max(0, at - max(0, cfg.ttt_eval_seq_len - size))
        end = min(at + size, lengths[-1])
        going, learning = bisect_right(lengths, at), bisect_right(lengths, at + size)  # first rows that do
        for again in range(cfg.ttt_grad_steps if learning < len(batch) else 1):
            for rows in slices(learning if again else going, len(batch), fit // (end - start)):
                adapters.at(rows)
                with torch.set_grad_enabled(learning < rows.stop):
                    logp = adapters.log_probabilities(text[rows, start:end], at - start)
                    losses = -logp.gather(2, text[rows, at + 1 : end + 1, None])[..., 0]
                for j in range(0 if again else rows.stop - rows.start):
                    n = min(lengths[rows.start + j], end) - at
                    first = batch[rows.start + j][0] + at + 1
                    yield first, losses[j, :n].detach(), logp[j, :n].detach() if want_logp else None
                if losses.requires_grad:
                    losses[max(0, learning - rows.start) :].mean(1).sum().backward()
            if learning < len(batch):
                adapters.optimizer.step()
                adapters.optimizer.zero_grad()


def score_block(
    adapters: Adapters,
    tokens: Tensor,
    batches: list[Batch],
    fit: int,
    want_logp: bool,
    ranks: tuple[int, int],
    report: Callable[[int, Batch, Tensor], None],
) -> Iterator[Scored]:
    """This rank's lanes, batch after batch; `report` hears each one's place, documents and sum of losses."""
    cfg, kept, (rank, world) = adapters.cfg, {}, ranks  # type: ignore[var-annotated]
    for i, lane in enumerate(lanes_of(batches, cfg.ttt_eval_seq_len)):
        if lane % world == rank:
            whole = len(batches[i]) == cfg.ttt_batch_size
            adapters.reset(len(batches[i]), kept.get(lane) if whole else None)
            loss = torch.zeros((), dtype=torch.float64, device=adapters.model.tok_emb.weight.device)
            for piece in score_batch(adapters, tokens, batches[i], fit, want_logp):
                yield piece
                loss += piece[1].double().sum()
            a = adapters.release()
            if whole and cfg.ttt_warm_start_a and not cfg.phased_ttt_group_docs:
                kept[lane] = a
            report(i, batches[i], loss)


def states_of(model: GPT, rows: Tensor) -> Tensor:
    """Final states of sequences `[B, T]`; attention within documents, where the model is of that kind."""
    cfg = model.cfg
    if not (cfg.doc_attention_enabled and cfg.global_ttt_respect_doc_boundaries):
        return model(rows)
    from pgolf.trainer.doc_attention import segment_bounds

    marked = rows.cpu().clone()  # each sequence begins a segment, as if with BOS: how many run at once changes nothing
    marked[:, 0] = BOS
    bounds = segment_bounds(marked.flatten(), cfg.eval_seq_len).to(rows.device)
    return model(rows.flatten()[None], 0, bounds)


def train(
    model: GPT, tokens: Tensor, docs: Batch, ranks: tuple[int, int], say: Callable[[str], None], began: float
) -> None:
    """A phase: all parameters take SGD steps over these documents, chunk by chunk but the last."""
    cfg, size = model.cfg, model.cfg.global_ttt_chunk_tokens
    # the next one's BOS is a document's last target; the record has it twice
    text = torch.cat([*(tokens[s:e] for s, e in docs), tokens[docs[-1][1] :][:1]])
    chunks = math.ceil((len(text) - 1) / size)
    warm = min(cfg.global_ttt_warmup_chunks, chunks - 1)
    banks, low = Banks(model), cfg.global_ttt_warmup_start_lr
    optimizer = torch.optim.SGD(banks.values(), lr=cfg.global_ttt_lr, momentum=cfg.global_ttt_momentum)
    for c in range(chunks - 1):
        lr = cfg.global_ttt_lr * 0.5 * (1 + math.cos(math.pi * (c - warm) / max(1, chunks - 1 - warm)))
        if c < warm:
            lr = low + (cfg.global_ttt_lr - low) * c / max(1, warm - 1)
        optimizer.param_groups[0]["lr"] = lr
        chunk = text[c * size : (c + 1) * size + 1]
        knobs = cfg.global_ttt_epochs, cfg.global_ttt_batch_seqs, cfg.global_ttt_grad_clip
        train_chunk(model, partial(states_of, model), banks, optimizer, chunk, *knobs, *ranks)
        say(f"tttg: c{c + 1}/{chunks} lr:{lr:.6f} t:{time.perf_counter() - began:.1f}s")


def phased(
    model: GPT,
    tokens: Tensor,
    want_logp: bool = False,
    rank: int = 0,
    world: int = 1,
    say: Callable[[str], None] = lambda text: None,
    sizes: Tensor | None = None,
) -> Iterator[Scored]:
    """The evaluator; it changes `model`. `say` hears the record's log lines, for which `sizes` are bytes of targets."""
    cfg, began, phases = model.cfg, time.perf_counter(), model.cfg.phased_ttt_num_phases
    fit, blocks = rows_that_fit(cfg, model.tok_emb.weight.device, training=True), blocks_of(cfg, tokens)
    docs, left = len(documents(tokens)), sum(len(batches) for batches, _ in blocks)
    prefix, boundaries = min(cfg.phased_ttt_prefix_docs, docs), boundaries_of(cfg)
    say(
        f"ttt_phased: total_docs:{docs} prefix_docs:{prefix} suffix_docs:{docs - prefix} num_phases:{phases} "
        f"boundaries:{boundaries}"
    )
    total, done, scored, sums = left, 0, 0, [0.0, 0, 0]

    def report(i: int, batch: Batch, loss: Tensor) -> None:
        if sizes is not None:
            own = float(loss), sum(int(sizes[s:e].sum()) for s, e in batch), sum(map(length, batch))
            sums[:] = [a + b for a, b in zip(sums, own, strict=True)]
            (bl, bb), (rl, rb) = ((x / n, x / math.log(2) / max(1, size)) for x, size, n in (own, sums))
            say(
                f"ttp: b{left - i}/{total} bl:{bl:.4f} bb:{bb:.4f} rl:{rl:.4f} rb:{rb:.4f} "
                f"dl:{length(batch[0])}-{length(batch[-1])} gd:{done}"
            )

    adapters = Adapters(model)
    try:
        for batches, learnt in blocks:
            model.requires_grad_(False)
            pieces = score_block(adapters, tokens, batches, fit, want_logp, (rank, world), report)
            yield from sorted(pieces, key=itemgetter(0)) if cfg.phased_ttt_group_docs else pieces
            left, scored = left - len(batches), scored + sum(map(len, batches))
            if learnt:
                done += 1
                say(f"ttpp: phase:{done}/{phases} pd:{scored} gd:{len(learnt)} t:{time.perf_counter() - began:.1f}s")
                model.requires_grad_(True)
                train(model, tokens, learnt, (rank, world), say, began)
                say(f"ttpr: phase:{done}/{phases} t:{time.perf_counter() - began:.1f}s")
    finally:
        adapters.take_off()
        model.requires_grad_(True)


def phased_anew(
    load: Callable[[], GPT],
    say: Callable[[str], None],
    count: Callable[[Tensor], Tensor],
    model: GPT,
    tokens: Tensor,
    *args: Any,
) -> Iterator[Scored]:
    """The evaluator of a run: its time includes reading the artifact. `model` stays as it is."""
    yield from phased(load(), tokens, *args, say, count(tokens))  # type: ignore[call-arg]
