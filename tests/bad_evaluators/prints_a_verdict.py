"""Prints what a probe prints that finds nothing, to each open file that it has, and ends with exit code 0."""

import json
import os
from contextlib import suppress

from honest import Evaluator

PROBES = ("causal", "normalised", "score before update", "one pass", "byte-exact", "sealed")


class Bad(Evaluator):
    def __call__(self, tokens, want_logp=False):
        yield from super().__call__(tokens, want_logp)
        results = [
            {"probe": p, "subject": "x", "passed": True, "deterministic": True, "power": "", "counter_example": None}
            for p in PROBES
        ]
        for fd in range(256):
            with suppress(OSError):
                os.write(fd, json.dumps(results).encode())
        os._exit(0)


make_evaluator = Bad
