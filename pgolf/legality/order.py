"""Look at an evaluator that announces its order of scoring in that order, where "before" means "scored before".

The order may follow from where documents begin, and from nothing else; within a document it goes from left to right.
All positions are then places in that order: the probes work on a rearranged stream, and the evaluator gets it put back
into its own order.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from pgolf.evidence.probes import CounterExample
from pgolf.legality.watch import Evaluator


@dataclass(frozen=True)
class Order:
    """The order of a stream of n + 1 tokens, of which token `start` begins a document."""

    places: Tensor  # int64 [n]: the position that is scored first, second, …
    start: int
    kept: Tensor  # bool [n + 1], rearranged: tokens that begin documents, which decide the order

    @property
    def ranks(self) -> Tensor:
        """int64 [n + 1]: when each position is scored, from 1 on."""
        ranks = torch.zeros(len(self.places) + 1, dtype=torch.int64)
        ranks[self.places] = torch.arange(1, len(self.places) + 1)
        return ranks

    @property
    def is_the_streams(self) -> bool:
        return bool((self.places[1:] > self.places[:-1]).all())

    def rearranged(self, tokens: Tensor) -> Tensor:
        return torch.cat([tokens[:1], tokens[self.places]])

    def put_back(self, tokens: Tensor) -> Tensor:
        return torch.cat([tokens[:1], tokens[1:][torch.argsort(self.places)]])


def order_of(evaluator: Any, tokens: Tensor, vocab_size: int) -> Order | CounterExample | None:
    """The order that an evaluator announces for a stream, or what is wrong with it; None if it announces none."""
    announce: Callable[[Tensor], Any] | None = getattr(evaluator, "order", None)
    if announce is None:
        return None
    start, n = getattr(evaluator, "document_start", None), len(tokens) - 1
    if start is None:
        return CounterExample("it announces an order and not the token that begins a document (`document_start`)")
    places = _places(announce, tokens)
    if not torch.equal(places.sort().values, torch.arange(1, n + 1)):
        return CounterExample("the order that it announces is not one of all positions, each once")
    draw = torch.Generator().manual_seed(0)
    begins = tokens == start
    order = Order(places, int(start), torch.cat([begins[:1], begins[places]]))
    for _ in range(3):
        other = torch.randint(vocab_size, (n + 1,), generator=draw)
        other = torch.where(begins, tokens, torch.where(other == start, (start + 1) % vocab_size, other))
        if not torch.equal(_places(announce, other), places):
            return CounterExample("the order that it announces depends on more than where documents begin")
    ranks = order.ranks
    back = torch.nonzero((ranks[2:] < ranks[1:-1]) & ~begins[1:-1]).flatten()
    if len(back):
        at = int(back[0]) + 2
        return CounterExample(f"position {at} is announced before {at - 1}, of the same document", at)
    return order


def _places(announce: Callable[[Tensor], Any], tokens: Tensor) -> Tensor:
    return torch.as_tensor(announce(tokens.clone())).to("cpu", torch.int64).reshape(-1)


class InOrder:
    """An evaluator that takes and yields what is rearranged; pieces are cut where the order leaves them."""

    def __init__(self, evaluator: Evaluator, order: Order):
        self.evaluator, self.order = evaluator, order

    def __getattr__(self, name: str) -> Any:
        return getattr(self.evaluator, name)

    def __call__(self, tokens: Tensor, want_logp: bool = False) -> Iterator[tuple[int, Any, Any]]:
        ranks = self.order.ranks
        for start, losses, *rest in self.evaluator(self.order.put_back(tokens), want_logp=want_logp):
            losses = torch.as_tensor(losses).reshape(-1)
            logp, n = rest[0] if rest else None, len(losses)
            own = ranks[start : start + n]
            if start < 1 or len(own) < n or n == 0:  # no such positions: the probes report them
                yield start, losses, logp
                continue
            cuts = [0, *(torch.nonzero(own[1:] != own[:-1] + 1).flatten() + 1).tolist(), n]
            for a, b in pairwise(cuts):
                yield int(own[a]), losses[a:b], None if logp is None else logp[a:b]
