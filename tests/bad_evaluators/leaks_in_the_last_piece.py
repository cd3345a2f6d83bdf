"""Knows the targets of the last piece."""

from leaks_a_little import Bad as Leaks


class Bad(Leaks):
    amount = 1.0

    def where(self, tokens, first, last):
        return range(first, last) if last == len(tokens) else ()


make_evaluator = Bad
