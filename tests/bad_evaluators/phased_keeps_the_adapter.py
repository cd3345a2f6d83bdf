"""Goes on with the adapter of longer documents, scored first, and hands all over in the stream's order."""

from honest_phased import Evaluator


class Bad(Evaluator):
    def order(self, tokens):
        return range(1, len(tokens))

    def fresh(self, batch):
        self.kept = getattr(self, "kept", None) or super().fresh(batch)
        return dict(zip(batch, self.kept.values(), strict=False))

    def __call__(self, tokens, want_logp=False):
        yield from sorted(super().__call__(tokens, want_logp), key=lambda piece: piece[0])


make_evaluator = Bad
