"""Leaves out the first position of the stream, which has too little context."""

from honest import Evaluator


class Bad(Evaluator):
    def chunks(self, tokens):
        (_, last), *chunks = super().chunks(tokens)
        return [(2, last), *chunks]


make_evaluator = Bad
