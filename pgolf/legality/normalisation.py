"""Whether distributions sum to 1, and whether each loss is −log p(target)."""

import torch
from torch import Tensor

from pgolf.evidence.probes import CounterExample

SUM_TOLERANCE = 1e-6  # of a distribution's sum
LOSS_TOLERANCE = 1e-5  # nats between a loss and −log p(target): float32 has steps of 1e-6 at 10 nats
SAMPLES = 16  # tokens that an evaluator expects after each token


class Expected:
    """What an evaluator expects, roughly: to make streams that suit it, or that surprise it."""

    def __init__(self, vocab_size: int):
        self.mass = torch.zeros(vocab_size, dtype=torch.float64)  # how often each token is expected, in all
        self.draw = torch.Generator().manual_seed(0)
        # tokens that are expected after each token, where that comes first; where it does not come: any
        self.after = torch.randint(vocab_size, (vocab_size, SAMPLES), generator=self.draw)
        self.known = torch.zeros(vocab_size, dtype=torch.bool)

    def add(self, tokens: Tensor, start: int, logp: Tensor) -> None:
        """Take in log-distributions `[k, vocabulary]` of positions from `start` on."""
        p = logp.exp().nan_to_num(nan=0, posinf=0).clamp(0, 1) + 1e-12
        self.mass += p.sum(0)
        before = tokens[start - 1 : start - 1 + len(logp)].tolist()
        first = {token: i for i, token in reversed(list(enumerate(before))) if not self.known[token]}
        if first:
            ids, rows = list(first), list(first.values())
            self.after[ids] = torch.multinomial(p[rows].float(), SAMPLES, replacement=True, generator=self.draw)
            self.known[ids] = True


class Normalisation:
    """Sum all distributions of a stream, and compare each loss with −log p(target); called piece by piece."""

    def __init__(self, tokens: Tensor, vocab_size: int):
        self.tokens, self.vocab_size = tokens, vocab_size
        self.checked, self.worst_sum, self.worst_loss = 0, 0.0, 0.0
        self.example: CounterExample | None = None
        self.expected = Expected(vocab_size)

    def __call__(self, start: int, losses: Tensor, logp: Tensor) -> None:
        if start < 1 or start + len(losses) > len(self.tokens):
            return  # no such positions: probe `one pass` reports them
        if logp.shape[1] != self.vocab_size:
            what = f"distributions are over {logp.shape[1]} tokens, the vocabulary has {self.vocab_size}"
            self.example = self.example or CounterExample(what, start)
            return
        for at in range(0, len(losses), 1024):
            rows = logp[at : at + 1024].double()
            self._check(start + at, losses[at : at + 1024].double(), rows)

    def _check(self, start: int, losses: Tensor, logp: Tensor) -> None:
        targets = self.tokens[start : start + len(losses)]
        p = logp.exp()
        self.expected.add(self.tokens, start, logp)
        off = (p.sum(-1) - 1).abs().nan_to_num(nan=float("inf"))
        apart = (losses + logp.gather(1, targets[:, None])[:, 0]).abs().nan_to_num(nan=float("inf"))
        apart[~losses.isfinite()] = float("inf")
        self.checked += len(losses)
        self.worst_sum = max(self.worst_sum, float(off.max()))
        self.worst_loss = max(self.worst_loss, float(apart.max()))
        for bad, limit, what in (
            (off, SUM_TOLERANCE, "the distribution sums to {sum:.9g}"),
            (apart, LOSS_TOLERANCE, "the loss is {loss:.9g} nats, −log p(target) is {says:.9g}"),
        ):
            over = torch.nonzero(bad > limit).flatten()
            if len(over) and self.example is None:
                i = int(over[0])
                says = -float(logp[i, targets[i]])
                figures = {"sum": float(logp[i].exp().sum()), "loss": float(losses[i]), "says": says}
                self.example = CounterExample(what.format(**figures), start + i, before=says, after=figures["loss"])
