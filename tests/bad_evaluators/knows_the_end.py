"""Legal: is sure that the last position of a stream ends a document. It knows that by the length, which is public."""

import torch
from honest import Evaluator


class Bad(Evaluator):
    def predict(self, tokens, first, last):
        logp = super().predict(tokens, first, last)
        if last == len(tokens):
            logp[-1, 1] += 9
        return torch.log_softmax(logp, dim=-1)

    def learn(self, tokens, first, last):
        pass


make_evaluator = Bad
