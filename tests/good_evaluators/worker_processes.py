"""Scores the halves of each batch in two processes of its own, which are forked for one pass."""

import multiprocessing

import numpy as np
from base import VOCAB, Evaluator

TABLE = np.random.default_rng(0).normal(size=(VOCAB, VOCAB))


def scored(before):
    logits = TABLE[before]
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


class Good(Evaluator):
    def __call__(self, tokens, want_logp=False):
        ids = tokens.numpy()
        with multiprocessing.get_context("fork").Pool(2) as workers:
            spans = self.spans(tokens)
            chunks = (ids[first - 1 : last - 1] for first, last in spans)
            for (first, last), logp in zip(spans, workers.imap(scored, chunks), strict=True):
                yield first, -logp[np.arange(last - first), ids[first:last]], logp


make_evaluator = Good
