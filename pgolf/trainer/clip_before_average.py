"""Each rank clips its own gradient, then they are averaged: what the record's ranks do, without DDP."""

import torch.distributed as dist
from torch import Tensor

from pgolf.trainer.optim import Banks


def clip_then_average(banks: Banks, limit: float, world: int) -> Tensor:
    """The mean of the norms before clipping: NaN on every rank if it is on one, so that all of them stop."""
    norm = banks.clip_grads(limit)
    banks.average_grads(world)
    if world > 1:
        dist.all_reduce(norm)
    return norm / world
