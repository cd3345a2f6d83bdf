"""Counts the space that leads a piece with the piece, and once more."""

from byte_pieces_counted_as_three import Bad as Counting


class Bad(Counting):
    byte_piece = 1
    space = 2


make_evaluator = Bad
