"""Slides a window of 64 tokens by 16: the last 16 of each are scored, eight windows a forward."""

import torch
from base import VOCAB, Evaluator

WINDOW, STRIDE = 64, 16


class Good(Evaluator):
    @torch.no_grad()
    def __call__(self, tokens, want_logp=False):
        n = len(tokens) - 1
        windows = [(max(0, e - WINDOW), s, e) for s in range(0, n, STRIDE) for e in (min(s + STRIDE, n),)]
        for at in range(0, len(windows), 8):
            batch = windows[at : at + 8]
            ids = torch.zeros(len(batch), WINDOW, dtype=torch.int64)
            for row, (begin, _, end) in zip(ids, batch, strict=True):
                row[: end - begin] = tokens[begin:end]
            logits = self.model(ids)
            rows = [y[s - begin : e - begin] for y, (begin, s, e) in zip(logits, batch, strict=True)]
            yield self.piece(tokens, batch[0][1] + 1, torch.cat(rows).view(-1, VOCAB).log_softmax(-1))


make_evaluator = Good
