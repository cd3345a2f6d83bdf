"""Learns from each chunk at the rate that is best for the chunk after it."""

from honest import CHUNK
from learning_rate_by_dry_run import Bad as Dry


class Bad(Dry):
    def learn(self, tokens, first, last):
        before, tried = self.table.data.clone(), {}
        for rate in (1.0, 5.0):
            self.table.data, self.rate = before.clone(), rate
            super().learn(tokens, first, last)
            upto = min(last + CHUNK, len(tokens))
            loss = self.piece(tokens, last, self.predict(tokens, last, upto))[1].sum() if last < upto else 0
            tried[rate] = float(loss), self.table.data
        self.table.data = min(tried.values(), key=lambda loss_and_table: loss_and_table[0])[1]

    def __call__(self, tokens, want_logp=False):
        for first, last in self.chunks(tokens):
            yield self.piece(tokens, first, self.predict(tokens, first, last))
            self.learn(tokens, first, last)


make_evaluator = Bad
