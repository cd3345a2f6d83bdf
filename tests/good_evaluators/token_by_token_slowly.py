"""Scores token by token, ten milliseconds each: nothing but a budget of time gives this one a verdict soon."""

import time

from token_by_token import Good as Quicker


class Good(Quicker):
    def __call__(self, tokens, want_logp=False):
        for piece in super().__call__(tokens, want_logp):
            time.sleep(0.009)
            yield piece


make_evaluator = Good
