"""Counts three bytes for a token that begins a document, which has no text."""

from byte_pieces_counted_as_three import Bad as Counting


class Bad(Counting):
    byte_piece, control = 1, 3

    def bytes_of(self, sp, before, token):
        return super().bytes_of(sp, before, token) + (self.control if sp.is_control(token) else 0)


make_evaluator = Bad
