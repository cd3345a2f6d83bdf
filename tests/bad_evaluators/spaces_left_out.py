"""Counts the letters of a piece and not the space that leads it."""

from byte_pieces_counted_as_three import Bad as Counting


class Bad(Counting):
    byte_piece = 1
    space = 0


make_evaluator = Bad
