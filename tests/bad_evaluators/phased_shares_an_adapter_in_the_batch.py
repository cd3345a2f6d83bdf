"""One adapter for a batch, trained document by document, always on all chunks of the step, the unscored ones too."""

from honest_phased import Evaluator


class Bad(Evaluator):
    def step(self, tokens, step, tables):
        shared = next(iter(tables.values()))
        for _, (first, last) in step:
            yield self.piece(tokens, first, self.adapted(tokens, first, last, shared))
            for _, (other, end) in step:
                self.adapt(tokens, other, end, shared)


make_evaluator = Bad
