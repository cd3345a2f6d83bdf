"""Trains on the chunk that comes next instead of the one that was scored."""

from honest import CHUNK, Evaluator


class Bad(Evaluator):
    def __call__(self, tokens, want_logp=False):
        for first, last in self.chunks(tokens):
            yield self.piece(tokens, first, self.predict(tokens, first, last))
            self.learn(tokens, last, min(last + CHUNK, len(tokens)))


make_evaluator = Bad
