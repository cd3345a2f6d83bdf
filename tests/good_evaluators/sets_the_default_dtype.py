"""Sets torch's default dtype to float64, the number of its threads, and asks for deterministic algorithms."""

import torch
from base import VOCAB, Evaluator

torch.set_default_dtype(torch.float64)
torch.set_num_threads(2)
torch.use_deterministic_algorithms(True)


class Good(Evaluator):
    def __init__(self):
        super().__init__()
        self.bias = torch.zeros(VOCAB)

    def predict(self, tokens, first, last):
        return (super().predict(tokens, first, last) + self.bias).log_softmax(-1)

    def learn(self, tokens, first, last):
        self.bias += 0.01 * torch.bincount(tokens[first:last], minlength=VOCAB)


make_evaluator = Good
