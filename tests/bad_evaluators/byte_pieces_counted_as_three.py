"""Counts a byte-fallback piece as three bytes, as if each were a character of its own."""

import os
from itertools import pairwise

import sentencepiece as spm
import torch
from honest import Evaluator


class Bad(Evaluator):
    """Knows how often each token came, and nothing else."""

    tokenizer = os.environ.get("TOKENIZER_PATH")
    byte_piece, space = 3, 1

    def __init__(self):
        self.sp = spm.SentencePieceProcessor(model_file=self.tokenizer)
        self.vocab_size = self.sp.vocab_size()
        self.counts = torch.nn.Parameter(torch.ones(self.vocab_size))

    def predict(self, tokens, first, last):
        return (self.counts / self.counts.sum()).log().detach().repeat(last - first, 1)

    def learn(self, tokens, first, last):
        self.counts.data += torch.bincount(tokens[first:last], minlength=self.vocab_size)

    def byte_counts(self, tokens):
        return [self.bytes_of(self.sp, before, token) for before, token in pairwise(tokens.tolist())]

    def bytes_of(self, sp, before, token):
        if sp.is_control(token):
            return 0
        if sp.is_byte(token):
            return self.byte_piece
        piece = sp.id_to_piece(token)
        text = piece.removeprefix("▁")
        return len(text.encode()) + (self.space if text != piece and not sp.is_control(before) else 0)


make_evaluator = Bad
