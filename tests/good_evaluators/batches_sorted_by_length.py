"""Sorts the documents of a batch by length, and yields them in the stream's order."""

from padded_batches_of_documents import Good as Padded


class Good(Padded):
    def batched(self, batch):
        return sorted(batch, key=lambda span: span[0] - span[1])


make_evaluator = Good
