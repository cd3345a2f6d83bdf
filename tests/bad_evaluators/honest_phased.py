"""A legal evaluator that scores the longest documents first and says so: the illegal ones of that kind are made of it.

Documents run in pairs of like length, in step; each adapts a table of its own, chunk by chunk, score first. After
the first pair the common table learns from what has been scored.
"""

from itertools import pairwise

import torch
from honest import VOCAB
from honest import Evaluator as Plain
from torch import Tensor, nn

CHUNK, BATCH = 24, 2
Span = tuple[int, int]  # first position, one past the last


class Evaluator(Plain):
    document_start = 1

    def documents(self, tokens: Tensor) -> list[Span]:
        n = len(tokens) - 1
        cuts = [1, *(i + 1 for i in range(1, n) if tokens[i] == 1), n + 1]
        return list(pairwise(cuts))

    def batches(self, tokens: Tensor) -> list[list[Span]]:
        queue = sorted(self.documents(tokens), key=lambda d: (d[0] - d[1], d))
        return [queue[i : i + BATCH] for i in range(0, len(queue), BATCH)]

    def steps(self, batch: list[Span]) -> list[list[tuple[Span, Span]]]:
        """(document, chunk) of those that have one, step after step."""
        longest = max(e - s for s, e in batch)
        return [
            [((s, e), (s + at, min(s + at + CHUNK, e))) for s, e in batch if s + at < e]
            for at in range(0, longest, CHUNK)
        ]

    def order(self, tokens: Tensor) -> list[int]:
        spans = [c for batch in self.batches(tokens) for step in self.steps(batch) for _, c in step]
        return [t for first, last in spans for t in range(first, last)]

    def adapted(self, tokens: Tensor, first: int, last: int, table: Tensor) -> Tensor:
        context = tokens[first - 1 : last - 1]
        return torch.log_softmax(self.table[context] + table[context], dim=-1).detach()

    def adapt(self, tokens: Tensor, first: int, last: int, table: nn.Parameter) -> None:
        context = tokens[first - 1 : last - 1]
        loss = nn.functional.cross_entropy(self.table.detach()[context] + table[context], tokens[first:last])
        (gradient,) = torch.autograd.grad(loss, table)
        table.data -= 5 * gradient

    def fresh(self, batch: list[Span]) -> dict[Span, nn.Parameter]:
        return {document: nn.Parameter(torch.zeros(VOCAB, VOCAB)) for document in batch}

    def phase(self, tokens: Tensor, scored: list[Span]) -> None:
        for first, last in scored:
            self.learn(tokens, first, last)

    def step(self, tokens: Tensor, step: list[tuple[Span, Span]], tables: dict[Span, nn.Parameter]):
        for document, (first, last) in step:
            yield self.piece(tokens, first, self.adapted(tokens, first, last, tables[document]))
        for document, (first, last) in step:
            self.adapt(tokens, first, last, tables[document])

    def __call__(self, tokens: Tensor, want_logp: bool = False):
        for i, batch in enumerate(self.batches(tokens)):
            tables = self.fresh(batch)
            for step in self.steps(batch):
                yield from self.step(tokens, step, tables)
            if i == 0:
                self.phase(tokens, batch)


make_evaluator = Evaluator
