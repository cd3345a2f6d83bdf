"""Scores a chunk, trains on it, scores it again, and keeps the better of both scores for each token."""

import torch
from honest import Evaluator


class Bad(Evaluator):
    def __call__(self, tokens, want_logp=False):
        for first, last in self.chunks(tokens):
            before = self.predict(tokens, first, last)
            self.learn(tokens, first, last)
            after = self.predict(tokens, first, last)
            targets = tokens[first:last, None]
            yield self.piece(
                tokens, first, torch.where(after.gather(1, targets) > before.gather(1, targets), after, before)
            )


make_evaluator = Bad
