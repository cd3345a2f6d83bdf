"""Trains on each chunk before scoring it, from the middle of the stream on."""

from honest import Evaluator


class Bad(Evaluator):
    def __call__(self, tokens, want_logp=False):
        for first, last in self.chunks(tokens):
            ahead = first > len(tokens) // 2
            if ahead:
                self.learn(tokens, first, last)
            yield self.piece(tokens, first, self.predict(tokens, first, last))
            if not ahead:
                self.learn(tokens, first, last)


make_evaluator = Bad
