"""Scores each document by one forward and then learns from it: what is rounded otherwise is learnt, too."""

from base import Evaluator, documents


class Good(Evaluator):
    rate = 0.1

    def spans(self, tokens):
        return documents(tokens)


make_evaluator = Good
