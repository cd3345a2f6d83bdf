"""Imports the module that it scores with when it scores, from beside it and from Python's library."""

from base import Evaluator


class Good(Evaluator):
    def __call__(self, tokens, want_logp=False):
        for first, last in self.spans(tokens):
            from statistics import fmean

            from parts import late

            logp = late.tempered(self.predict(tokens, first, last))
            yield self.piece(tokens, first, logp)
            self.rate = 0.3 + 0.01 * min(1.0, abs(fmean(logp[0].tolist())))
            self.learn(tokens, first, last)


make_evaluator = Good
