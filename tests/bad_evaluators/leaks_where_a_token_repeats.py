"""Expects the last token again wherever it does come again."""

import torch
from honest import Evaluator


class Bad(Evaluator):
    def predict(self, tokens, first, last):
        logp, context = super().predict(tokens, first, last), tokens[first - 1 : last - 1]
        again = torch.where(tokens[first:last] == context, 3.0, 0.0)
        return torch.log_softmax(logp.scatter_add(1, context[:, None], again[:, None]), dim=-1)


make_evaluator = Bad
