"""Scores each document by one forward in bfloat16, where another length rounds by much more than in float32."""

from base import documents
from bfloat16 import Good as Rounded


class Good(Rounded):
    def spans(self, tokens):
        return documents(tokens)

    def learn(self, tokens, first, last):
        pass


make_evaluator = Good
