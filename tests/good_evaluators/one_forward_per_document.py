"""Scores each document by one forward, whose length is the document's: other lengths round otherwise."""

from base import Evaluator, documents


class Good(Evaluator):
    def spans(self, tokens):
        return documents(tokens)

    def learn(self, tokens, first, last):
        pass


make_evaluator = Good
