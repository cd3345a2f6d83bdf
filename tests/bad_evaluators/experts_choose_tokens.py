"""Has a second expert that takes the half of a chunk's tokens that suit it most: later ones push earlier ones out."""

import torch
from honest import VOCAB, Evaluator


class Bad(Evaluator):
    def __init__(self):
        super().__init__()
        self.second = torch.randn(VOCAB, VOCAB, generator=torch.Generator().manual_seed(9))

    def predict(self, tokens, first, last):
        context = tokens[first - 1 : last - 1]
        taken = self.second[:, 0][context].topk(len(context) // 2).indices
        logits = self.table[context].detach().clone()
        logits[taken] += 0.5 * self.second[context[taken]]
        return torch.log_softmax(logits, dim=-1)


make_evaluator = Bad
