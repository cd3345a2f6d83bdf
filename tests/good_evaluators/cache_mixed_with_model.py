"""Mixes a cache of bigrams into the model, by a weight that follows from how often the context was seen."""

import torch
from base import VOCAB, Evaluator


class Good(Evaluator):
    def __init__(self):
        super().__init__()
        self.counts = torch.zeros(VOCAB, VOCAB)

    def predict(self, tokens, first, last):
        seen = self.counts[tokens[first - 1 : last - 1]]
        total = seen.sum(1, keepdim=True)
        weight = 0.8 * total / (total + 4)
        cached = seen / total.clamp(min=1)
        return ((1 - weight) * super().predict(tokens, first, last).exp() + weight * cached).log()

    def learn(self, tokens, first, last):
        self.counts.index_put_((tokens[first - 1 : last - 1], tokens[first:last]), torch.tensor(1.0), accumulate=True)


make_evaluator = Good
