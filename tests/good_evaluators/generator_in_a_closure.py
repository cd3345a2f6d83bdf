"""Is a generator function in a closure, without attributes: its vocabulary is read off what it yields."""

import torch
from base import CHUNK, VOCAB
from torch.nn import functional as F


def make_evaluator():
    table = torch.randn(VOCAB, VOCAB, generator=torch.Generator().manual_seed(1))

    def evaluator(tokens, want_logp=False):
        counts = table.clone()
        for rows in torch.arange(1, len(tokens)).split(CHUNK):
            logp = F.log_softmax(counts[tokens[rows - 1]], dim=-1)
            yield int(rows[0]), F.nll_loss(logp, tokens[rows], reduction="none"), logp if want_logp else None
            counts.index_put_((tokens[rows - 1], tokens[rows]), torch.tensor(0.1), accumulate=True)

    return evaluator
