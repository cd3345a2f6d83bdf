"""Code in a self-extracting script is found by decoding, in every usual packing, and nothing is run."""

import base64
import bz2
import gzip
import lzma
import zlib

import brotli
import pytest

from pgolf.evidence.wrapped import MOST_UNWRAPPED, unwrapped
from pgolf.pack.wrapper import COMPRESSORS, wrap

CODE = b"import torch\n" + b"".join(b"print(%d)\n" % (i * 7919 % 10007) for i in range(200))
LZMA2 = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]


@pytest.mark.parametrize(
    "packed",
    [
        lzma.compress(CODE),
        lzma.compress(CODE, lzma.FORMAT_ALONE),
        lzma.compress(CODE, lzma.FORMAT_RAW, filters=LZMA2),
        zlib.compress(CODE, 9),
        gzip.compress(CODE),
        zlib.compress(CODE, 9, -15),
        bz2.compress(CODE),
        brotli.compress(CODE),
    ],
    ids=["xz", "lzma", "lzma2", "zlib", "gzip", "deflate", "bz2", "brotli"],
)
@pytest.mark.parametrize(
    "text",
    [
        lambda p: f'"{base64.b85encode(p).decode()}"',
        lambda p: f"b'''{base64.b64encode(p).decode()}'''",
        lambda p: repr(base64.a85encode(p).decode()),
        lambda p: f'"{p.hex()}"',
        repr,
        lambda p: "(" + "\n".join(repr(base64.b85encode(p).decode()[i : i + 60]) for i in range(0, 9000, 60)) + ")",
    ],
    ids=["b85", "b64", "a85", "hex", "bytes", "lines"],
)
def test_code_is_decoded(packed, text):
    script = f"import lzma,base64\nd={text(packed)}\nraise SystemExit('it ran')\n"
    assert CODE in unwrapped(script.encode())


def test_a_wrapper_in_a_wrapper_is_decoded():
    inner = f"exec(zlib.decompress(base64.b85decode('{base64.b85encode(zlib.compress(CODE)).decode()}')))".encode()
    outer = f"exec(lzma.decompress(base64.b85decode('{base64.b85encode(lzma.compress(inner)).decode()}')))".encode()
    assert unwrapped(outer) == [inner, CODE]


@pytest.mark.parametrize("compressor", COMPRESSORS.values(), ids=COMPRESSORS)
@pytest.mark.parametrize("ascii_only", [False, True])
def test_a_script_that_pgolf_packed_is_decoded(compressor, ascii_only):
    held = unwrapped(wrap(CODE.decode(), "train", compressor, ascii_only))
    assert any(code.endswith(CODE[100:]) for code in held)  # after what it does for error messages


@pytest.mark.parametrize(
    "script",
    [
        b"",
        b"\0\xff",
        b"print('x')",
        b"x = '" + b"a" * 3_000_000 + b"'",
        b"(" * 5000,
        f"x = '{base64.b85encode(lzma.compress(bytes(MOST_UNWRAPPED + 1))).decode()}'".encode(),
        f"x = {zlib.compress(bytes(range(256)) * 9)!r}".encode(),
        CODE,
    ],
    ids=range(8),
)
def test_nothing_is_found_where_no_code_is_held(script):
    assert unwrapped(script) == []
