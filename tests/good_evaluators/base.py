"""What the honest evaluators share: a small model with causal attention, and where chunks and documents lie."""

from itertools import pairwise

import torch
from torch import Tensor, nn

VOCAB, WIDTH, CHUNK, BOS = 64, 16, 64, 1
Span = tuple[int, int]  # first position, one past the last


class Model(nn.Module):
    """A table of bigrams with a layer of causal attention: tokens [batch, length] to logits of those that follow."""

    def __init__(self, dtype=torch.float32):
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        self.embed, self.out, self.mix = (
            nn.Parameter(torch.randn(*shape, generator=draw, dtype=torch.float32).to(dtype) * 0.4)
            for shape in ((VOCAB, WIDTH), (WIDTH, VOCAB), (WIDTH, 3 * WIDTH))
        )

    def hidden(self, ids: Tensor) -> Tensor:
        h = self.embed[ids]
        q, k, v = (h @ self.mix)[:, None].chunk(3, dim=-1)  # one head
        return h + nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)[:, 0]

    def forward(self, ids: Tensor) -> Tensor:
        return self.hidden(ids) @ self.out


class Evaluator:
    """Scores chunk by chunk and learns from each once it is scored."""

    vocab_size = VOCAB
    rate = 0.5

    def __init__(self):
        self.model = Model()

    @torch.no_grad()
    def predict(self, tokens: Tensor, first: int, last: int) -> Tensor:
        """Log-distributions of positions first … last − 1."""
        return self.model(tokens[None, first - 1 : last - 1])[0].log_softmax(-1)

    def loss(self, tokens: Tensor, first: int, last: int) -> Tensor:
        return nn.functional.cross_entropy(self.model(tokens[None, first - 1 : last - 1])[0], tokens[first:last])

    def learn(self, tokens: Tensor, first: int, last: int) -> None:
        """A step on positions first … last − 1."""
        weights = list(self.model.parameters())
        for weight, gradient in zip(weights, torch.autograd.grad(self.loss(tokens, first, last), weights), strict=True):
            weight.data -= self.rate * gradient

    def spans(self, tokens: Tensor) -> list[Span]:
        n = len(tokens) - 1
        return [(first, min(first + CHUNK, n + 1)) for first in range(1, n + 1, CHUNK)]

    def piece(self, tokens: Tensor, first: int, logp: Tensor):
        return first, -logp.gather(1, tokens[first : first + len(logp), None])[:, 0], logp

    def __call__(self, tokens: Tensor, want_logp: bool = False):
        for first, last in self.spans(tokens):
            yield self.piece(tokens, first, self.predict(tokens, first, last))
            self.learn(tokens, first, last)


def documents(tokens: Tensor) -> list[Span]:
    """The token that begins a document is the last target of the one before, so that nothing knows it beforehand."""
    n = len(tokens) - 1
    starts = [1, *(i + 1 for i in (tokens == BOS).nonzero().flatten().tolist() if 1 <= i < n), n + 1]
    return list(pairwise(starts))
