"""A program as a script that unpacks itself: one comment line, the compressed source as a string, and `exec`.

The string holds the compressed bytes as Latin-1 characters, which costs 1–2 % where base 85 costs 25 %. The source
is registered with `linecache`, so that error messages and torch.compile see its lines.
"""

import ast
import base64
import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import brotli

from pgolf import decompress
from pgolf.errors import BadInput
from pgolf.python_source import MOST_BYTES, Unreadable, parse


@dataclass(frozen=True)
class Compressor:
    """A module to compress with; `expression` is the Python that gives back what was compressed to %s.

    `decompress` gives back at most so many bytes, and raises NotDecompressed.
    """

    name: str
    compress: Callable[[bytes], bytes]
    decompress: Callable[[bytes, int], bytes]
    expression: str


def _brotli(data: bytes) -> bytes:
    """The window's size shifts all bits that follow it, and with them how many bytes have to be escaped."""
    packed: Iterator[bytes] = (brotli.compress(data, quality=11, lgwin=window) for window in (16, 17, 18))
    return min(packed, key=lambda p: len(_literal(p.decode("latin-1"))))


LZMA1 = [{"id": lzma.FILTER_LZMA1, "preset": 9 | lzma.PRESET_EXTREME, "lc": 3, "pb": 0}]
COMPRESSORS = {
    c.name: c
    for c in (
        Compressor("brotli", _brotli, decompress.from_brotli, "brotli.decompress(%s)"),
        Compressor(
            "lzma",
            lambda data: lzma.compress(data, lzma.FORMAT_RAW, filters=LZMA1),
            lambda data, most: decompress.from_lzma(data, most, lzma.FORMAT_RAW, LZMA1),
            f"lzma.decompress(%s,3,None,[dict(id={lzma.FILTER_LZMA1},lc=3,pb=0)])",
        ),
        Compressor(
            "zlib",
            lambda data: zlib.compress(data, 9, -15),
            lambda data, most: decompress.from_zlib(data, most, -15),
            "zlib.decompress(%s,-15)",
        ),
        Compressor("bz2", bz2.compress, decompress.from_bz2, "bz2.decompress(%s)"),
    )
}
BEGINNING = b"#coding:l1 pgolf "
MOST_LINES = 5  # that a message names
SCRIPT = """#coding:l1 {label}
import {modules}
s={restored}
f=__file__+" unpacked"
exec(compile(s,f,"exec"))
"""
STATEMENTS = 4  # of SCRIPT
# Runs first, compressed with the rest: error messages show the lines that they speak of. Python's own message for an
# error that nobody catches does so from 3.13 on; a program that prints its errors itself needs no help.
PRELUDE = """import linecache
linecache.cache[f]=len(s),None,s.decode().splitlines(1),f
"""
HOOK = """import sys,traceback
sys.excepthook=traceback.print_exception
"""


def wrap(source: str, label: str, compressor: Compressor, ascii_only: bool = False) -> bytes:
    """The script that runs `source`; `label` goes into its comment line. `ascii_only` costs 25 %."""
    future, source = _split_future(source)
    hook = "" if ".print_exc()" in source else HOOK
    return _script(label, compressor, compressor.compress(f"{future}{PRELUDE}{hook}{source}".encode()), ascii_only)


def _script(label: str, compressor: Compressor, packed: bytes, ascii_only: bool) -> bytes:
    if ascii_only:
        modules, literal = f"{compressor.name},base64", f'base64.b85decode("{base64.b85encode(packed).decode()}")'
    else:
        modules, literal = compressor.name, f"{_literal(packed.decode('latin-1'))}.encode('l1')"
    script = SCRIPT.format(label=label, modules=modules, restored=compressor.expression % literal)
    return script.encode("latin-1")


def _split_future(source: str) -> tuple[str, str]:
    """`from __future__ import …`, which must come first, and the rest."""
    first, newline, rest = source.partition("\n")
    return (first + newline, rest) if first.startswith("from __future__") else ("", source)


def smallest(source: str, label: str, with_brotli: bool, ascii_only: bool = False) -> tuple[bytes, Compressor]:
    """The smallest script that the standard library (and brotli, if it may be imported) unpacks; and by what."""
    usable = [c for c in COMPRESSORS.values() if with_brotli or c.name != "brotli"]
    return min(((wrap(source, label, c, ascii_only), c) for c in usable), key=lambda pair: len(pair[0]))


def _literal(text: str) -> str:
    """The shortest string literal of any characters below 256 that no reader of source files changes."""
    text = text.replace("\\", "\\\\").replace("\r", "\\r")
    text = re.sub("\0(?=[0-7])", "\\\\x00", text).replace("\0", "\\0")
    quoted = []
    for quote in "'\"":
        inner = re.sub(f"(?<={quote}{quote}){quote}|{quote}\\Z", f"\\\\{quote}", text)
        quoted.append(3 * quote + inner + 3 * quote)
    return min(quoted, key=len)


@dataclass(frozen=True)
class Wrapped:
    """A script with a wrapper as `wrap` writes it; `around` are the script's statements that are not the wrapper's."""

    label: str
    source: str
    around: tuple[ast.stmt, ...]


def open_wrapped(script: bytes) -> Wrapped:
    """The parts of a script that `wrap` made, also of one that was changed afterwards; nothing of it is run. BadInput
    for any other file, also for one that holds over MOST_BYTES."""
    try:
        label = script.partition(b"\n")[0].decode("latin-1").removeprefix("#coding:l1 ")
        body = parse(script).body
        imports = [[alias.name for alias in s.names] for s in body if isinstance(s, ast.Import)]
        modules = next(names for names in imports if names[0] in COMPRESSORS)
        restored = next(s for s in body if isinstance(s, ast.Assign) and ast.unparse(s.targets[0]) == "s")
        constants = (n.value for n in ast.walk(restored) if isinstance(n, ast.Constant))
        text = max((c for c in constants if isinstance(c, str)), key=len)
        packed = base64.b85decode(text) if "base64" in modules else text.encode("latin-1")
        source = COMPRESSORS[modules[0]].decompress(packed, MOST_BYTES).decode()
        own = [ast.dump(s) for s in parse(_script("", COMPRESSORS[modules[0]], packed, "base64" in modules)).body]
        around, kept = [], 0
        for statement in body:
            if (said := ast.dump(statement)) in own:
                own, kept = own[own.index(said) + 1 :], kept + 1
            else:
                around.append(statement)
        if kept < STATEMENTS and not around:
            raise ValueError  # a part of it is gone
        return Wrapped(label, _without_prelude(source), tuple(around))
    except (Unreadable, ValueError, LookupError, StopIteration):  # NotDecompressed is a ValueError
        raise BadInput("not a file that `pgolf pack` made") from None


def unwrap(script: bytes) -> tuple[str, str]:
    """(label, source) of a script as `wrap` made it; BadInput for any other file, also for one that was changed."""
    wrapped = open_wrapped(script)
    if wrapped.around:
        raise BadInput(f"not a file that `pgolf pack` made: {said_around(wrapped)}")
    return wrapped.label, wrapped.source


def said_around(wrapped: Wrapped) -> str:
    """Which lines hold the code that is not the wrapper's."""
    lines = list(dict.fromkeys(str(s.lineno) for s in wrapped.around))
    more = f" and {len(lines) - MOST_LINES} more" if len(lines) > MOST_LINES else ""
    return f"code that is not the wrapper's is in line{'s' * (len(lines) > 1)} {', '.join(lines[:MOST_LINES])}{more}"


def _without_prelude(source: str) -> str:
    """The source that went in. Only where `wrap` puts them, PRELUDE and HOOK are its own."""
    future, rest = _split_future(source)
    if not rest.startswith(PRELUDE):
        return source
    return future + rest.removeprefix(PRELUDE).removeprefix(HOOK)
