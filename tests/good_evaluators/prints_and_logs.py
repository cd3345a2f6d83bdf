"""Prints, logs, warns, and draws a bar of progress with the tokens a second on standard error."""

import logging
import sys
import time
import warnings

from base import Evaluator

logging.basicConfig(level=logging.INFO, stream=sys.stdout)
log = logging.getLogger(__name__)
print("loading the model")


class Good(Evaluator):
    def __call__(self, tokens, want_logp=False):
        began, n, total = time.perf_counter(), len(tokens) - 1, 0.0
        log.info("evaluating %d tokens", n)
        warnings.warn("this model is small", stacklevel=2)
        for first, losses, logp in super().__call__(tokens, want_logp):
            yield first, losses, logp
            total += float(losses.sum())
            done = first + len(losses) - 1
            speed = done / (time.perf_counter() - began + 1e-9)
            sys.stderr.write(f"\r{done / n:4.0%}|{'#' * (20 * done // n):20}| {done}/{n} [{speed:.0f}tok/s]")
        print(f'\n{{"val_loss": {total / n:.6f}, "passed": true}}', flush=True)


make_evaluator = Good
