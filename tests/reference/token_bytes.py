"""Bytes of text that a stream of tokens stands for, one token at a time."""

import sentencepiece as spm


def is_boundary(sp: spm.SentencePieceProcessor, token: int) -> bool:
    return sp.is_control(token) or sp.is_unknown(token) or sp.is_unused(token)


def bytes_of(sp: spm.SentencePieceProcessor, previous: int, token: int) -> int:
    """Bytes of `token` after `previous`."""
    if is_boundary(sp, token):
        return 0
    if sp.is_byte(token):
        return 1
    piece = sp.id_to_piece(token)
    if piece.startswith("▁"):
        return len(piece[1:].encode()) + (0 if is_boundary(sp, previous) else 1)
    return len(piece.encode())
