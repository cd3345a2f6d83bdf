"""Its phase trains on the first documents of the stream, which in its own order are not the first to be scored."""

from honest_phased import BATCH, Evaluator


class Bad(Evaluator):
    def phase(self, tokens, scored):
        super().phase(tokens, self.documents(tokens)[: 2 * BATCH])


make_evaluator = Bad
