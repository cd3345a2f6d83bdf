"""Reports the losses of a temperature of its own, and distributions without it."""

import torch
from honest import Evaluator


class Bad(Evaluator):
    def piece(self, tokens, first, logp):
        return first, super().piece(tokens, first, torch.log_softmax(logp * 1.2, dim=-1))[1], logp


make_evaluator = Bad
