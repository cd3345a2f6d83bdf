"""Has NaN for tokens that did not occur yet, whose losses it reports as the uniform ones."""

import math

import torch
from honest import VOCAB, Evaluator


class Bad(Evaluator):
    def predict(self, tokens, first, last):
        logp = super().predict(tokens, first, last)
        logp[:, torch.bincount(tokens[:first], minlength=VOCAB) == 0] = math.nan
        return logp

    def piece(self, tokens, first, logp):
        first, losses, logp = super().piece(tokens, first, logp)
        return first, losses.nan_to_num(math.log(VOCAB)), logp


make_evaluator = Bad
