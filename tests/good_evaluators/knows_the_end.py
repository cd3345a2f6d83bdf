"""Is sure that the last position of a stream ends a document: it knows that by the length, which is public."""

from base import BOS, Evaluator


class Good(Evaluator):
    def predict(self, tokens, first, last):
        logp = super().predict(tokens, first, last)
        if last == len(tokens):
            logp[-1, BOS] += 9
        return logp.log_softmax(-1)

    def learn(self, tokens, first, last):
        pass


make_evaluator = Good
