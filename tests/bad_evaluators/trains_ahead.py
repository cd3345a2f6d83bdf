"""Trains a second table on each chunk before that is scored, and never uses it: no score shows it, the state does."""

from honest import CHUNK, Evaluator


class Bad(Evaluator):
    def __call__(self, tokens, want_logp=False):
        second = Evaluator()
        for first, losses, logp in super().__call__(tokens, want_logp):
            last = first + len(losses)
            second.learn(tokens, last, min(last + CHUNK, len(tokens)))
            yield first, losses, logp


make_evaluator = Bad
