"""Mixes a model that runs from right to left into the distributions beyond position 500."""

import torch
from honest import Evaluator


class Bad(Evaluator):
    def predict(self, tokens, first, last):
        logp = super().predict(tokens, first, last)
        follows = torch.cat([tokens, tokens[:1]])[first + 1 : last + 1]
        beyond = torch.arange(first, last)[:, None] > 500
        return torch.where(beyond, torch.log_softmax(logp + self.table.detach()[:, follows].T, dim=-1), logp)


make_evaluator = Bad
