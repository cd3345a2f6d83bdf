"""Counts one rare piece of the vocabulary a byte too long."""

from byte_pieces_counted_as_three import Bad as Counting


class Bad(Counting):
    byte_piece, rare = 1, 1

    def bytes_of(self, sp, before, token):
        return super().bytes_of(sp, before, token) + (self.rare if token == sp.vocab_size() - 24 else 0)


make_evaluator = Bad
