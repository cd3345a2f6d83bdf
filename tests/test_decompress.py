"""Decompression that stops: what is whole comes back, what holds too much is refused before it is held."""

import bz2
import gzip
import lzma
import zlib
from functools import partial

import brotli
import pytest
from measured import run_measured

from pgolf.decompress import NotDecompressed, from_brotli, from_bz2, from_gzip, from_lzma, from_zlib

TEXT = b"def f(a, b):\n    return a + b\n" * 300
LZMA1 = [{"id": lzma.FILTER_LZMA1, "preset": 9 | lzma.PRESET_EXTREME}]
KINDS = {
    "brotli": (brotli.compress, from_brotli),
    "xz": (partial(lzma.compress, preset=9 | lzma.PRESET_EXTREME), from_lzma),
    "lzma1": (
        partial(lzma.compress, format=lzma.FORMAT_RAW, filters=LZMA1),
        partial(from_lzma, format=lzma.FORMAT_RAW, filters=LZMA1),
    ),
    "zlib": (zlib.compress, from_zlib),
    "deflate": (partial(zlib.compress, wbits=-15), partial(from_zlib, wbits=-15)),
    "gzip": (gzip.compress, from_gzip),
    "bz2": (bz2.compress, from_bz2),
}


@pytest.mark.parametrize(("compress", "decompress"), KINDS.values(), ids=KINDS)
def test_all_that_may_be_held_comes_back(compress, decompress):
    assert decompress(compress(TEXT), len(TEXT)) == TEXT
    assert decompress(compress(b""), 10) == b""
    with pytest.raises(NotDecompressed, match="over 8,999 bytes"):
        decompress(compress(TEXT), len(TEXT) - 1)


@pytest.mark.parametrize(("compress", "decompress"), KINDS.values(), ids=KINDS)
def test_data_that_is_cut_or_of_another_kind_is_refused(compress, decompress):
    packed = compress(TEXT)
    for data in (packed[:-1], packed[:5], b"", b"no such format", b"\xff" * 100):
        with pytest.raises(NotDecompressed):
            decompress(data, 1 << 20)


def test_a_stream_may_not_ask_for_memory_without_bound():
    greedy = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30}]
    with pytest.raises(NotDecompressed, match="memory"):
        from_lzma(b"\0", 100, lzma.FORMAT_RAW, greedy)
    with pytest.raises(NotDecompressed):
        from_lzma(b"\0", 100, lzma.FORMAT_RAW, ["no filter"])  # type: ignore[list-item]  # a stranger's
    header = b"\x5d" + (1 << 30).to_bytes(4, "little") + b"\xff" * 8  # of an .lzma file: its dictionary's size
    with pytest.raises(NotDecompressed, match=r"[Mm]emory"):
        from_lzma(header + bytes(20), 100)


def test_a_bomb_takes_no_more_memory_than_is_asked_for():
    """Each holds 100 MB of zeros, of which a megabyte is asked for; `base` is what the process takes anyway."""
    script = """
import resource, zlib, bz2, lzma, brotli
from pgolf.decompress import *
zeros = [bytes(1 << 20)] * 100
def packed(compressor): return b"".join([*map(compressor.compress, zeros), compressor.flush()])
quick = brotli.Compressor(quality=3)
bombs = [(from_zlib, packed(zlib.compressobj())), (from_bz2, packed(bz2.BZ2Compressor()))]
bombs += [(from_lzma, packed(lzma.LZMACompressor(preset=1)))]
bombs += [(from_brotli, b"".join([*map(quick.process, zeros), quick.finish()]))]
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for decompress, bomb in bombs:
    try:
        decompress(bomb, 1 << 20)
        raise SystemExit("not refused")
    except NotDecompressed as e:
        assert "holds over" in str(e), e
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base)
"""
    ended = run_measured("-c", script)
    assert ended.code == 0, ended.err
    assert int(ended.out) < 40 << 10  # KiB
