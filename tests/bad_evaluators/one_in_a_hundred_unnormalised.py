"""Forgets to normalise one distribution in a hundred."""

from honest import Evaluator


class Bad(Evaluator):
    def predict(self, tokens, first, last):
        logp = super().predict(tokens, first, last)
        logp[[t - first for t in range(first, last) if t % 100 == 77]] += 0.3
        return logp


make_evaluator = Bad
