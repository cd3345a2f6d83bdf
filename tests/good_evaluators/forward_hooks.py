"""Catches hidden activations by a hook, and biases the next chunk by the mean of the last."""

import torch
from base import VOCAB, WIDTH, Evaluator
from torch import nn


class Good(Evaluator):
    def __init__(self):
        torch.manual_seed(0)
        self.embed, self.out = nn.Embedding(VOCAB, WIDTH), nn.Linear(WIDTH, VOCAB)
        self.caught = []
        self.embed.register_forward_hook(lambda module, given, result: self.caught.append(result.mean(0)))

    @torch.no_grad()
    def __call__(self, tokens, want_logp=False):
        for first, last in self.spans(tokens):
            h = self.embed(tokens[first - 1 : last - 1])
            context = self.caught[-2] if len(self.caught) > 1 else torch.zeros(WIDTH)
            yield self.piece(tokens, first, self.out(h + context).log_softmax(-1))


make_evaluator = Good
