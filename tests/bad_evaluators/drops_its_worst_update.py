"""Keeps the weights from before the last chunk where they would have scored the next chunk better."""

from honest import Evaluator


class Bad(Evaluator):
    def __call__(self, tokens, want_logp=False):
        earlier = self.table.detach().clone()
        for first, last in self.chunks(tokens):
            now = self.table.detach().clone()
            both = []
            for table in (now, earlier):
                self.table.data = table.clone()
                both.append(float(self.piece(tokens, first, self.predict(tokens, first, last))[1].sum()))
            self.table.data = (now if both[0] <= both[1] else earlier).clone()
            earlier = self.table.detach().clone()
            yield self.piece(tokens, first, self.predict(tokens, first, last))
            self.learn(tokens, first, last)


make_evaluator = Bad
