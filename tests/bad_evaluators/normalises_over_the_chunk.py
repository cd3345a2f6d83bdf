"""Takes the mean of each logit over the chunk away, as batch normalisation in training mode does."""

import torch
from honest import Evaluator


class Bad(Evaluator):
    def predict(self, tokens, first, last):
        logits = super().predict(tokens, first, last)
        return torch.log_softmax(logits - logits.mean(0), dim=-1)


make_evaluator = Bad
