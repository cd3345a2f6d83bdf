"""Lets its learning rate grow over the first tenth of its steps."""

from base import Evaluator


class Good(Evaluator):
    def __call__(self, tokens, want_logp=False):
        spans = self.spans(tokens)
        for step, (first, last) in enumerate(spans):
            yield self.piece(tokens, first, self.predict(tokens, first, last))
            self.rate = 0.5 * min(1.0, (step + 1) / max(1, len(spans) // 10))
            self.learn(tokens, first, last)


make_evaluator = Good
