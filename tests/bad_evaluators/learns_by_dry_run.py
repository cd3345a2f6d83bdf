"""Learns, or does not, as is better for the whole stream, and yields all scores at its end: no probe sees a chunk."""

import torch
from learning_rate_by_dry_run import Bad as Dry


class Bad(Dry):
    options = ({"rate": 5.0}, {"rate": 0.0})

    def __call__(self, tokens, want_logp=False):
        pieces = list(super().__call__(tokens, want_logp))
        yield 1, torch.cat([losses for _, losses, _ in pieces]), torch.cat([logp for _, _, logp in pieces])


make_evaluator = Bad
