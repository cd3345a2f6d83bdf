"""Decompression that stops: a file of 5 kB may hold gigabytes.

Every function gives what the first stream of `data` holds, at most `most` bytes of it.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MOST_MEMORY = 80 << 20  # bytes that an LZMA stream may ask for; preset 9 asks for 65 MiB


class NotDecompressed(ValueError):
    """Data of another format, cut or damaged, or that holds too much."""


def from_brotli(data: bytes, most: int) -> bytes:
    try:
        import brotli
    except ImportError:  # an installation for audits alone may have none
        raise NotDecompressed("brotli is not installed") from None

    def unpack(data: bytes, most: int) -> tuple[bytes, bool]:
        decoder = brotli.Decompressor()
        return decoder.process(data, output_buffer_limit=most), decoder.is_finished()

    return _bounded(unpack, data, most)


def from_lzma(
    data: bytes, most: int, format: int = lzma.FORMAT_AUTO, filters: Sequence[Mapping[str, Any]] | None = None
) -> bytes:
    """`format` and `filters` as for `lzma.decompress`; a stream without a header says in `filters` what it asks for."""

    def unpack(data: bytes, most: int) -> tuple[bytes, bool]:
        if filters and any(_dictionary(f) > MOST_MEMORY for f in filters):
            raise NotDecompressed("asks for too much memory")
        limit = None if format == lzma.FORMAT_RAW else MOST_MEMORY
        decoder = lzma.LZMADecompressor(format, limit, filters)
        return decoder.decompress(data, most), decoder.eof

    return _bounded(unpack, data, most)


def _dictionary(filter: Mapping[str, Any]) -> int:
    return int(filter.get("dict_size") or 0)


def from_zlib(data: bytes, most: int, wbits: int = zlib.MAX_WBITS) -> bytes:
    def unpack(data: bytes, most: int) -> tuple[bytes, bool]:
        decoder = zlib.decompressobj(wbits)
        return decoder.decompress(data, most), decoder.eof

    return _bounded(unpack, data, most)


def from_gzip(data: bytes, most: int) -> bytes:
    return from_zlib(data, most, 16 + zlib.MAX_WBITS)


def from_bz2(data: bytes, most: int) -> bytes:
    def unpack(data: bytes, most: int) -> tuple[bytes, bool]:
        decoder = bz2.BZ2Decompressor()
        return decoder.decompress(data, most), decoder.eof

    return _bounded(unpack, data, most)


def _bounded(unpack: Callable[[bytes, int], tuple[bytes, bool]], data: bytes, most: int) -> bytes:
    """What `unpack` makes of `data`: it gives at most as many bytes as it is told, and whether the stream has ended."""
    try:
        out, ended = unpack(data, most + 1)
    except Exception as e:  # each library has errors of its own for what is not its format
        raise NotDecompressed(str(e)) from None
    if len(out) > most:
        raise NotDecompressed(f"holds over {most:,} bytes")
    if not ended:
        raise NotDecompressed("ends early")
    return out
