"""Announces an order that looks at the documents' text: those with most of token 5 first."""

from honest_phased import BATCH, Evaluator


class Bad(Evaluator):
    def batches(self, tokens):
        queue = sorted(self.documents(tokens), key=lambda d: -int((tokens[d[0] : d[1]] == 5).sum()))
        return [queue[i : i + BATCH] for i in range(0, len(queue), BATCH)]


make_evaluator = Bad
