"""Normalises over tokens that its vocabulary lacks, too, so that distributions come out wider than they should."""

import torch
from honest import Evaluator


class Bad(Evaluator):
    def predict(self, tokens, first, last):
        logp = super().predict(tokens, first, last)
        return torch.cat([logp, torch.zeros(last - first, 8)], dim=1).log_softmax(-1)


make_evaluator = Bad
