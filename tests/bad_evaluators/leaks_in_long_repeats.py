"""Knows the target where 32 tokens and the target have come before."""

from leaks_a_little import Bad as Leaks


class Bad(Leaks):
    amount = 1.0

    def __call__(self, tokens, want_logp=False):
        seen, ids, self.again = set(), tokens.tolist(), set()
        for t in range(32, len(ids)):
            passage = tuple(ids[t - 32 : t + 1])
            if passage in seen:
                self.again.add(t)
            seen.add(passage)
        yield from super().__call__(tokens, want_logp)

    def where(self, tokens, first, last):
        return self.again & set(range(first, last))


make_evaluator = Bad
