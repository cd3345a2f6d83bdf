"""The code that a self-extracting script holds, as `exec(lzma.decompress(base64.b85decode("…")))`: decoded, never run.

A rule of the contest lets authors submit their code so. Its logs often count the source, and the file is what counts.
"""

import ast
import base64
import binascii
import lzma
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from pgolf.decompress import NotDecompressed, from_brotli, from_bz2, from_gzip, from_lzma, from_zlib
from pgolf.python_source import Unreadable, parse

MOST_WRAPPED, MOST_UNWRAPPED = 1 << 20, 1 << 22  # bytes of a file that is looked into, and of what it holds
MOST_STRINGS, MOST_LAYERS, SHORTEST = 8, 3, 64  # long strings of a script, layers, characters of a long string
RAW: tuple[dict[str, int], ...] = (  # filters of streams that do not name their own
    {"id": lzma.FILTER_LZMA2, "dict_size": 1 << 23},
    {"id": lzma.FILTER_LZMA1, "dict_size": 1 << 23},
    {"id": lzma.FILTER_LZMA1, "dict_size": 1 << 23, "lc": 3, "pb": 0},
)


def unwrapped(content: bytes) -> list[bytes]:
    """The texts that the long strings of a Python script decode to, and those that they hold in turn; none if it is no
    script, or too large. Bounded in time and memory."""
    found: list[bytes] = []
    layers = [content]
    for _ in range(MOST_LAYERS):
        layers = [inner for layer in layers for inner in _inside(layer) if inner not in found][:MOST_STRINGS]
        found += layers
    return found


def _inside(content: bytes) -> Iterator[bytes]:
    if len(content) > MOST_WRAPPED:
        return
    for text in _long_strings(content):
        for decoded in _decoded(text):
            if (code := _decompressed(decoded)) is not None:
                yield code
                break


def _long_strings(content: bytes) -> list[bytes]:
    try:
        tree = parse(content)
    except Unreadable:
        return []
    values = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str | bytes)]
    texts = [_bytes(v) if isinstance(v, str) else v for v in values]
    return sorted((t for t in texts if len(t) >= SHORTEST), key=len, reverse=True)[:MOST_STRINGS]


def _bytes(text: str) -> bytes:
    """Compressed bytes may be written as characters of Latin-1, one each."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _decoded(text: bytes) -> Iterator[bytes]:
    """The bytes that a text may stand for, itself first."""
    yield text
    decoders: tuple[Callable[[bytes], bytes], ...] = (
        base64.b85decode,
        lambda t: base64.b64decode(t, validate=True),
        base64.a85decode,
        base64.urlsafe_b64decode,
        base64.b32decode,
        binascii.unhexlify,
    )
    for decode in decoders:
        with suppress(ValueError):
            yield decode(b"".join(text.split()))


FORMATS: tuple[Callable[[bytes, int], bytes], ...] = (
    from_lzma,
    *(partial(from_lzma, format=lzma.FORMAT_RAW, filters=[kind]) for kind in RAW),
    from_zlib,
    from_gzip,
    partial(from_zlib, wbits=-15),
    from_bz2,
    from_brotli,
)


def _decompressed(data: bytes) -> bytes | None:
    """What compressed data holds, if that is text."""
    for decompress in FORMATS:
        with suppress(NotDecompressed, UnicodeDecodeError):
            if out := decompress(data, MOST_UNWRAPPED):
                out.decode("utf-8")
                return out
    return None
