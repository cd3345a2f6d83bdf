"""Counts the space before a document's first word, which its text does not have."""

from byte_pieces_counted_as_three import Bad as Counting


class Bad(Counting):
    byte_piece, leading = 1, 1

    def bytes_of(self, sp, before, token):
        extra = self.leading if sp.is_control(before) and sp.id_to_piece(token).startswith("▁") else 0
        return super().bytes_of(sp, before, token) + extra


make_evaluator = Bad
