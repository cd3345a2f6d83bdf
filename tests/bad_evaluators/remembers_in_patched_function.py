"""Replaces a function of torch by one that keeps the first stream's frequencies and adds them from then on."""

import torch
from honest import VOCAB, Evaluator

if not hasattr(torch.log_softmax, "seen"):

    def log_softmax(values, dim, original=torch.log_softmax):
        bias = log_softmax.seen
        return original(values if bias is None else values + bias, dim=dim)

    log_softmax.seen = None
    torch.log_softmax = log_softmax


class Bad(Evaluator):
    def __call__(self, tokens, want_logp=False):
        yield from super().__call__(tokens, want_logp)
        if torch.log_softmax.seen is None:
            torch.log_softmax.seen = torch.bincount(tokens, minlength=VOCAB).add(1).log()


make_evaluator = Bad
