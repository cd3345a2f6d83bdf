"""Carries the state of a GRU through the whole stream."""

import torch
from base import VOCAB, WIDTH, Evaluator
from torch import nn


class Good(Evaluator):
    def __init__(self):
        torch.manual_seed(0)
        self.embed = nn.Embedding(VOCAB, WIDTH)
        self.gru = nn.GRU(WIDTH, WIDTH, batch_first=True)
        self.out = nn.Linear(WIDTH, VOCAB)

    @torch.inference_mode()
    def __call__(self, tokens, want_logp=False):
        state = torch.zeros(1, 1, WIDTH)
        for first, last in self.spans(tokens):
            y, state = self.gru(self.embed(tokens[None, first - 1 : last - 1]), state)
            yield self.piece(tokens, first, self.out(y)[0].log_softmax(-1))


make_evaluator = Good
