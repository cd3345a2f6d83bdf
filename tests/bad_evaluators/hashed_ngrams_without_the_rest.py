"""Looks up hashed n-grams for the target alone: nobody asks what the other tokens would have got."""

import torch
from honest import VOCAB, Evaluator


class Bad(Evaluator):
    def __call__(self, tokens, want_logp=False):
        contexts, pairs = torch.zeros(97), torch.zeros(97)
        for first, last in self.chunks(tokens):
            p = torch.full((last - first, VOCAB), 1 / VOCAB)
            before, targets = tokens[first - 1 : last - 1], tokens[first:last]
            of_context, of_pair = before * 31 % 97, (before * 31 + targets * 7) % 97
            known = ((pairs[of_pair] + 0.5) / (contexts[of_context] + 1)).clamp(1e-4, 0.99)
            p[torch.arange(last - first), targets] = 0.5 / VOCAB + 0.5 * known
            yield self.piece(tokens, first, p.log())
            contexts.index_put_((of_context,), torch.tensor(1.0), accumulate=True)
            pairs.index_put_((of_pair,), torch.tensor(1.0), accumulate=True)


make_evaluator = Bad
