"""CaseOps: a lossless case transform before the tokenizer, so that `The`, `the` and `THE` share pieces.

Capitals become small letters behind operators (private-use characters), as the public CaseOps exports have them:

    TITLE U+E001    the next letter is a capital, its run's others are small (or marked)
    ALLCAPS U+E002  every letter of the run is a capital
    CAPNEXT U+E003  the next letter is a capital
    ESC U+E004      the next character, an operator, is text

Only ASCII letters have a case here: everything else is copied, so nothing depends on Unicode's tables of cases, which
are neither one to one nor fixed. `decode(encode(text)) == text` for every text, and `encode` gives one of possibly
several texts that decode to it.
"""

import codecs
import re
import tempfile
from collections.abc import Iterable, Iterator
from string import ascii_letters
from typing import BinaryIO

import numpy as np
import sentencepiece

from pgolf.errors import BadInput

TITLE, ALLCAPS, CAPNEXT, ESC = OPERATORS = "\ue001\ue002\ue003\ue004"
CAPITALS = 0.05  # of the pieces with ASCII letters; plain English text gives 0.1 and more
BLOCK = 1 << 18  # bytes or characters held at once by the filters

# Runs of letters with a capital in them; a run is looked at once, where it begins.
_TO_ENCODE = re.compile(f"(?<![A-Za-z])[a-z]*+[A-Z][A-Za-z]*+|[{OPERATORS}]")
_CAPITAL = re.compile("[A-Z]")
_LETTER = re.compile("[A-Za-z]")
_RUN = re.compile("[A-Za-z]*+")
_CAPITALS = re.compile("[A-Z]*+")
_REST_OF_CAPS = re.compile(f"(?:[A-Za-z]|{CAPNEXT}[A-Za-z])*+")
_TO_DECODE = re.compile(
    f"{ESC}[{OPERATORS}]|{TITLE}[A-Za-z]|{CAPNEXT}[A-Za-z]|{ALLCAPS}[A-Za-z]{_REST_OF_CAPS.pattern}|[{OPERATORS}]"
)


def is_caseops(tokenizer: sentencepiece.SentencePieceProcessor) -> bool:
    """Whether a tokenizer is of transformed text: each operator is a piece of its own, and capitals are missing.

    Of the ordinary pieces with ASCII letters a share of CAPITALS may have a capital, for symbols that were reserved. So
    a tokenizer of plain text is none, even if private-use characters are among its pieces.
    """
    if any(tokenizer.piece_to_id(c) == tokenizer.unk_id() for c in OPERATORS):
        return False
    ordinary = [
        tokenizer.id_to_piece(i)
        for i in range(tokenizer.vocab_size())
        if not (tokenizer.is_control(i) or tokenizer.is_unknown(i) or tokenizer.is_unused(i) or tokenizer.is_byte(i))
    ]
    lettered = [piece for piece in ordinary if _LETTER.search(piece)]
    return bool(lettered) and sum(1 for piece in lettered if _CAPITAL.search(piece)) <= CAPITALS * len(lettered)


def encode(text: str) -> str:
    """The transformed text.

    Examples
    --------
    >>> encode("iPhone OpenAI A").translate({0xE001: "^", 0xE003: "'"})
    "i'phone ^open'a'i ^a"
    """
    return _TO_ENCODE.sub(_encode_match, text)


def _encode_match(found: re.Match[str]) -> str:
    run = found.group()
    if run in OPERATORS:
        return ESC + run
    if len(run) > 1 and run.isupper():
        return ALLCAPS + run.lower()
    return (TITLE if run[0].isupper() else "") + run[0].lower() + _mark(run[1:])


def _mark(letters: str) -> str:
    """Letters after the first of a run: each capital behind its own operator."""
    return _CAPITAL.sub(lambda c: CAPNEXT + c.group().lower(), letters)


def decode(text: str) -> str:
    """The text that was transformed.

    Raises
    ------
    BadInput : an operator without what it marks, TITLE or ALLCAPS inside a run of letters.
    """
    return Decoder().feed(text, final=True)


def encode_stream(blocks: Iterable[str]) -> Iterator[str]:
    """`encode` of a text that comes in blocks, cut anywhere, in bounded memory.

    A run of capitals waits until its end, which decides how it begins; a long one waits in a temporary file.
    """
    inside = False  # a run has begun in an earlier block, and it is not all capitals
    with tempfile.SpooledTemporaryFile(BLOCK, mode="w+", encoding="ascii") as capitals:
        held = 0
        for block in blocks:
            text = block
            if held:
                more = _CAPITALS.match(text).group()  # type: ignore[union-attr]  # it matches nothing, too
                held += capitals.write(more)
                text = text[len(more) :]
                if not text:
                    continue
                inside = text[0].islower() and text[0].isascii()
                yield from _release(capitals, held, inside)
                held = 0
            if inside:
                more = _RUN.match(text).group()  # type: ignore[union-attr]
                yield _mark(more)
                text = text[len(more) :]
                if not text:
                    continue
                inside = False
            whole = text.rstrip(ascii_letters)
            yield encode(whole)
            tail = text[len(whole) :]
            if tail.isupper():
                held = capitals.write(tail)
            elif tail:
                yield encode(tail)
                inside = True
        if held:
            yield from _release(capitals, held, mixed=False)


def _release(capitals: tempfile.SpooledTemporaryFile[str], held: int, mixed: bool) -> Iterator[str]:
    """The capitals that a run began with, transformed, now that it is known whether small letters follow (`mixed`)."""
    capitals.seek(0)
    title = mixed or held == 1
    yield TITLE + capitals.read(1).lower() if title else ALLCAPS
    while letters := capitals.read(BLOCK):
        yield _mark(letters) if title else letters.lower()
    capitals.seek(0)
    capitals.truncate()


class Decoder:
    """`decode` of a text that comes in blocks, cut anywhere, in bounded memory."""

    def __init__(self) -> None:
        self.inside = False  # a letter came last, and not behind an ESC
        self.caps = False  # in the run of an ALLCAPS
        self.carry = ""  # an operator whose character is still to come
        self.offset = 0  # characters before `carry`

    def feed(self, block: str, final: bool = False) -> str:
        """The text up to here; `final`: nothing comes after this block. BadInput as `decode`."""
        text, out, at = self.carry + block, [], 0
        if self.caps:
            rest = _REST_OF_CAPS.match(text).group()  # type: ignore[union-attr]  # it matches nothing, too
            out.append(rest.replace(CAPNEXT, "").upper())
            at = len(rest)
            self.caps = text[at : at + 2] in ("", CAPNEXT)
        for found in _TO_DECODE.finditer(text, at):
            marked, start = found.group(), found.start()
            out.append(text[at:start])
            at = start
            if len(marked) == 1 and found.end() == len(text) and not final:
                break
            inside = _is_letter(text[start - 1]) if start else self.inside
            if len(marked) == 1 or (inside and marked[0] in (TITLE, ALLCAPS)):
                where = f"character {self.offset + start}"
                raise BadInput(f"not CaseOps text: the operator U+{ord(marked[0]):04X} is out of place at {where}")
            out.append(marked[1:] if marked[0] == ESC else marked[1:].replace(CAPNEXT, "").upper())
            at = found.end()
            self.caps = marked[0] == ALLCAPS and text[at : at + 2] in ("", CAPNEXT)
        else:
            out.append(text[at:])
            at = len(text)
        self.inside = _is_letter(text[at - 1]) if at else self.inside
        self.carry = text[at:]
        self.offset += at
        return "".join(out)


def _is_letter(c: str) -> bool:
    return c.isascii() and c.isalpha()


def encode_file(source: BinaryIO, target: BinaryIO) -> None:
    """Transform UTF-8 in bounded memory; BadInput if `source` is not UTF-8."""
    for block in encode_stream(_read_utf8(source)):
        target.write(block.encode())


def decode_file(source: BinaryIO, target: BinaryIO) -> None:
    """Undo `encode_file`; BadInput if `source` is not UTF-8 or not CaseOps text."""
    decoder = Decoder()
    for block in _read_utf8(source):
        target.write(decoder.feed(block).encode())
    target.write(decoder.feed("", final=True).encode())


def _read_utf8(source: BinaryIO) -> Iterator[str]:
    decoder, read = codecs.getincrementaldecoder("utf-8")(), 0
    try:
        while block := source.read(BLOCK):
            yield decoder.decode(block)
            read += len(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as e:
        raise BadInput(f"not valid UTF-8, in the {BLOCK} bytes from byte {read} on: {e.reason}") from None


def count_bytes(text: str, offsets: np.ndarray) -> np.ndarray:
    """Bytes of the original text that each token of a transformed one stands for.

    Parameters
    ----------
    text : transformed.
    offsets : int `[tokens, 2]`: the characters of `text` from which to which a token covers.

    Returns
    -------
    int64 `[tokens]` : an operator counts 0, an operator that is text 3, any other character its UTF-8 length.
    """
    points = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    sizes = 1 + (points >= 0x80).astype(np.int64) + (points >= 0x800) + (points >= 0x10000)
    escaped = -1  # the place after the last ESC that is not itself escaped
    for i in np.flatnonzero((points >= ord(TITLE)) & (points <= ord(ESC))).tolist():
        if i != escaped:
            sizes[i] = 0
            escaped = i + 1 if text[i] == ESC else escaped
    before = np.concatenate([[0], np.cumsum(sizes)])
    byte_counts: np.ndarray = before[offsets[:, 1]] - before[offsets[:, 0]]
    return byte_counts
