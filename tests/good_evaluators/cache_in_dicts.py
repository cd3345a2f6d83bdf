"""Counts what follows two tokens in a dictionary of dictionaries, and scores token by token."""

import math
from collections import Counter, defaultdict

from base import VOCAB


def make_evaluator():
    followers: dict[tuple[int, int], Counter[int]] = defaultdict(Counter)

    def evaluator(tokens, want_logp=False):
        ids = tokens.tolist()
        for t in range(1, len(ids)):
            seen = followers[ids[t - 2] if t > 1 else 0, ids[t - 1]]
            total = sum(seen.values()) + 0.1 * VOCAB
            logp = [math.log((seen[token] + 0.1) / total) for token in range(VOCAB)]
            yield t, [-logp[ids[t]]], [logp]
            seen[ids[t]] += 1

    return evaluator
