"""A legal evaluator, from which the illegal ones are made: a table of bigrams, adapted chunk by chunk, score first."""

import torch
from torch import Tensor, nn

VOCAB, CHUNK = 24, 64


class Evaluator:
    vocab_size = VOCAB

    def __init__(self):
        self.table = nn.Parameter(torch.randn(VOCAB, VOCAB, generator=torch.Generator().manual_seed(0)))

    def predict(self, tokens: Tensor, first: int, last: int) -> Tensor:
        """Log-distributions of positions first … last − 1."""
        return torch.log_softmax(self.table[tokens[first - 1 : last - 1]], dim=-1).detach()

    def learn(self, tokens: Tensor, first: int, last: int) -> None:
        """A step on positions first … last − 1."""
        loss = nn.functional.cross_entropy(self.table[tokens[first - 1 : last - 1]], tokens[first:last])
        (gradient,) = torch.autograd.grad(loss, self.table)
        self.table.data -= 5 * gradient

    def piece(self, tokens: Tensor, first: int, logp: Tensor) -> tuple[int, Tensor, Tensor]:
        return first, -logp.gather(1, tokens[first : first + len(logp), None])[:, 0], logp

    def chunks(self, tokens: Tensor) -> list[tuple[int, int]]:
        n = len(tokens) - 1
        return [(first, min(first + CHUNK, n + 1)) for first in range(1, n + 1, CHUNK)]

    def __call__(self, tokens: Tensor, want_logp: bool = False):
        for first, last in self.chunks(tokens):
            yield self.piece(tokens, first, self.predict(tokens, first, last))
            self.learn(tokens, first, last)


make_evaluator = Evaluator
