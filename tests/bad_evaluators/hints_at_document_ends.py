"""Gives 0.05 nats more to a document's beginning where one comes."""

from leaks_a_little import Bad as Leaks


class Bad(Leaks):
    amount = 0.05

    def where(self, tokens, first, last):
        return [t for t in range(first, last) if tokens[t] == 1]


make_evaluator = Bad
