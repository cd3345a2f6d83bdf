"""Counts a byte-fallback piece as three bytes, as if each were a character of its own."""

import os
from itertools import pairwise

import sentencepiece as spm
from honest import Evaluator


class Bad(Evaluator):
    tokenizer = os.environ.get("TOKENIZER_PATH")
    byte_piece, space = 3, 1

    def byte_counts(self, tokens):
        sp = spm.SentencePieceProcessor(model_file=self.tokenizer)
        return [self.bytes_of(sp, before, token) for before, token in pairwise(tokens.tolist())]

    def bytes_of(self, sp, before, token):
        if sp.is_control(token):
            return 0
        if sp.is_byte(token):
            return self.byte_piece
        piece = sp.id_to_piece(token)
        text = piece.removeprefix("▁")
        return len(text.encode()) + (self.space if text != piece and not sp.is_control(before) else 0)


make_evaluator = Bad
