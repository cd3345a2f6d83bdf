"""Counts tokens in the last 64 positions or in all, as is better for the end of the stream."""

from cache_weight_by_dry_run import Bad as Cache


class Bad(Cache):
    options = ({"window": 64}, {"window": 1 << 20})

    def measure(self, losses):
        return losses[-100:].sum()


make_evaluator = Bad
