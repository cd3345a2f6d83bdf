"""Scores the chunks of a batch in threads, and yields them in order."""

from concurrent.futures import ThreadPoolExecutor

from base import Evaluator


class Good(Evaluator):
    def __call__(self, tokens, want_logp=False):
        spans = self.spans(tokens)
        with ThreadPoolExecutor(2) as threads:
            for at in range(0, len(spans), 4):
                batch = spans[at : at + 4]
                scored = threads.map(lambda span: self.predict(tokens, *span), batch)
                for (first, _), logp in zip(batch, scored, strict=True):
                    yield self.piece(tokens, first, logp)
                for span in batch:
                    self.learn(tokens, *span)


make_evaluator = Good
