"""Adds what it counts to an attribute of its class: later streams are scored with the counts of earlier ones."""

import torch
from honest import VOCAB, Evaluator


class Bad(Evaluator):
    counts = torch.ones(VOCAB, VOCAB)

    def predict(self, tokens, first, last):
        counts = self.counts[tokens[first - 1 : last - 1]]
        return (counts / counts.sum(1, keepdim=True)).log()

    def learn(self, tokens, first, last):
        self.counts.index_put_((tokens[first - 1 : last - 1], tokens[first:last]), torch.tensor(1.0), accumulate=True)


make_evaluator = Bad
