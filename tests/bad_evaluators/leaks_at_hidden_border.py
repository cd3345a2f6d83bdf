"""Learns from a chunk and the one token after it, in counts that no one sees, and yields all scores at the end."""

import torch
from honest import CHUNK, VOCAB, Evaluator


class Bad(Evaluator):
    def __call__(self, tokens, want_logp=False):
        counts, rows = torch.ones(VOCAB, VOCAB), []
        for first, last in self.chunks(tokens):
            rows.append((counts / counts.sum(1, keepdim=True)).log()[tokens[first - 1 : last - 1]])
            upto = min(first + CHUNK + 1, len(tokens))
            counts.index_put_((tokens[first - 1 : upto - 1], tokens[first:upto]), torch.tensor(1.0), accumulate=True)
        yield self.piece(tokens, 1, torch.cat(rows))


make_evaluator = Bad
