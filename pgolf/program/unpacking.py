"""Scripts that extract themselves, as `exec(lzma.decompress(base64.b85decode("…")))`: unpacked and not run.

Each call that decodes or decompresses is made here, with a limit on its output, where its argument is constant. What
a script makes in another way before it runs it stays unknown, and a sentence says so with its line.
"""

import ast
import base64
import binascii
import lzma
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pgolf.decompress import from_brotli, from_bz2, from_gzip, from_lzma, from_zlib
from pgolf.program.constants import HERE, NotConstant, Opened
from pgolf.program.sources import Sources
from pgolf.program.syntax import Module
from pgolf.python_source import Unreadable, parse

MOST_UNPACKED = 16 << 20  # bytes of what one call unpacks
MOST_LAYERS = 8
RUNS = ("exec", "eval", "builtins.exec", "builtins.eval")


@dataclass(frozen=True)
class Layer:
    """Python that a script unpacks and runs; `how` it is packed, as 'lzma in base 85', and the line that does it."""

    tree: ast.Module
    how: str
    line: int
    code: bytes


def layers(m: Module, files: Mapping[str, bytes]) -> tuple[list[Layer], list[str]]:
    """(layers that a module unpacks, sentences on code that it makes in a way that cannot be followed)."""
    unpacker = _Unpacker(files, m)
    sources = Sources([m], unpacker.functions)
    found: dict[bytes, Layer] = {}
    unclear = []
    for node in m.nodes:
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = m.full_name(node.func)
        runs = name in RUNS
        if not runs and not (name in unpacker.functions and unpacker.is_compressed(name)):
            continue
        unpacker.steps.clear()
        code = _bytes(sources.known(m, node.args[0] if runs else node))
        if code is None:
            if name.endswith("exec"):
                unclear.append(f"{m.label}:{node.lineno} runs code that it makes when it runs; that code is not read")
            continue
        if code in found or not (runs or b"import" in code) or len(found) >= MOST_LAYERS:
            continue
        if any(code == content for path, content in files.items() if path.endswith(".py")):
            continue  # a file of the program's own, read as such
        try:
            found[code] = Layer(parse(code), unpacker.how(), node.lineno, code)
        except Unreadable as e:
            if runs and name.endswith("exec"):
                unclear.append(f"{m.label}:{node.lineno} runs code that {e.reason}")
    return list(found.values()), unclear


def _bytes(code: Any) -> bytes | None:
    return code.encode("utf-8", "replace") if isinstance(code, str) else code if isinstance(code, bytes) else None


class _Unpacker:
    """The functions that scripts unpack themselves with; `steps` are the words for those that were called."""

    def __init__(self, files: Mapping[str, bytes], m: Module) -> None:
        self.files, self.m = files, m
        self.steps: list[str] = []
        self.functions: dict[str, Any] = dict(CONSTANTS)
        for word, (names, function) in {**COMPRESSIONS, **ENCODINGS}.items():
            for name in names:
                self.functions[name] = self._noted(word, function)
        self.functions |= {
            "open": self._open,
            "io.open": self._open,
            "io.BytesIO": lambda content: Opened(content, True),
            "compile": lambda code, *_, **__: code,
            "builtins.compile": lambda code, *_, **__: code,
            "sys.argv": [str(HERE / m.path)],
            "bytes": _plain_bytes,
            "bytearray": _plain_bytes,
            "memoryview": _plain_bytes,
            "codecs.decode": self._codec,
        }
        for module in ("gzip", "lzma", "bz2"):
            self.functions[f"{module}.open"] = self._opened(self.functions[f"{module}.decompress"])

    def is_compressed(self, name: str) -> bool:
        return any(name in names for names, _ in COMPRESSIONS.values())

    def how(self) -> str:
        """In words, from the outermost encoding to what it holds: 'lzma in base 85'."""
        words: list[str] = []
        for step in reversed(self.steps):
            if not words or words[-1] != step:
                words.append(step)
        return " in ".join(words) or "text"

    def _noted(self, word: str, function: Callable[..., bytes]) -> Callable[..., bytes]:
        def call(data: Any, *args: Any, **keywords: Any) -> bytes:
            content = data.encode("ascii") if isinstance(data, str) else data
            if not isinstance(content, bytes):
                raise NotConstant
            out = function(content, *args, **keywords)
            self.steps.append(word)
            return out

        return call

    def _open(self, path: Any, mode: str = "r", *args: Any, encoding: str = "utf-8", **_: Any) -> Opened:
        place = PurePosixPath(path)
        content = self.files.get(str(place.relative_to(HERE) if place.is_absolute() else place))
        if content is None or not isinstance(mode, str) or set(mode) & set("wax+"):
            raise NotConstant
        return Opened(content, "b" in mode, encoding or "utf-8")

    def _codec(self, data: Any, name: str, *_: Any) -> Any:
        known = {"base64": "base64.b64decode", "hex": "binascii.unhexlify", "zlib": "zlib.decompress"}
        known |= {"zip": "zlib.decompress", "bz2": "bz2.decompress"}
        word = name.lower().removesuffix("_codec").replace("base_64", "base64")
        if word in known:
            return self.functions[known[word]](data)
        return data.decode(name) if isinstance(data, bytes) and len(name) < 20 else _raise()

    def _opened(self, unpack: Callable[..., bytes]) -> Callable[..., Opened]:
        def call(source: Any, mode: str = "rb", *_: Any, encoding: str = "utf-8", **__: Any) -> Opened:
            content = source.content if isinstance(source, Opened) else self._open(source, "rb").content
            return Opened(unpack(content), "t" not in mode, encoding)

        return call


def _raise() -> Any:
    raise NotConstant


def _plain_bytes(value: Any, encoding: str = "utf-8", *_: Any) -> bytes:
    if isinstance(value, str):
        return value.encode(encoding)
    return bytes(value) if isinstance(value, bytes | list) else _raise()


def _limited(decompress: Callable[..., bytes]) -> Callable[..., bytes]:
    return lambda data, *args, **keywords: decompress(data, MOST_UNPACKED, *args, **keywords)


def _lzma(data: bytes, format: int = lzma.FORMAT_AUTO, memlimit: Any = None, filters: Any = None) -> bytes:
    return from_lzma(data, MOST_UNPACKED, format, filters)


def _zlib(data: bytes, wbits: int = zlib.MAX_WBITS, bufsize: int = 0) -> bytes:
    return from_zlib(data, MOST_UNPACKED, wbits)


def _altered(decode: Callable[..., bytes]) -> Callable[..., bytes]:
    """Base 64 in other letters (`altchars`), and whatever else Python's own decoders take."""
    return lambda data, *args, **keywords: decode(data, *(_ascii(a) for a in args), **keywords)


def _ascii(value: Any) -> Any:
    return value.encode("ascii") if isinstance(value, str) else value


COMPRESSIONS: dict[str, tuple[tuple[str, ...], Callable[..., bytes]]] = {
    "lzma": (("lzma.decompress",), _lzma),
    "zlib": (("zlib.decompress",), _zlib),
    "gzip": (("gzip.decompress",), _limited(from_gzip)),
    "bz2": (("bz2.decompress",), _limited(from_bz2)),
    "brotli": (("brotli.decompress", "brotlicffi.decompress"), _limited(from_brotli)),
}
BASE64 = ("base64.b64decode", "base64.standard_b64decode", "base64.decodebytes", "binascii.a2b_base64")
ENCODINGS: dict[str, tuple[tuple[str, ...], Callable[..., bytes]]] = {
    "base 85": (("base64.b85decode",), base64.b85decode),
    "Ascii85": (("base64.a85decode",), base64.a85decode),
    "base 64": (BASE64, _altered(base64.b64decode)),
    "base 64 for URLs": (("base64.urlsafe_b64decode",), base64.urlsafe_b64decode),
    "base 32": (("base64.b32decode",), base64.b32decode),
    "base 16": (("base64.b16decode",), base64.b16decode),
    "hexadecimal": (("binascii.unhexlify", "bytes.fromhex", "binascii.a2b_hex"), binascii.unhexlify),
}
CONSTANTS: dict[str, Any] = {
    f"lzma.{name}": value for name, value in vars(lzma).items() if name.isupper() and isinstance(value, int)
}
CONSTANTS |= {"lzma.FORMAT_RAW": lzma.FORMAT_RAW, "zlib.MAX_WBITS": zlib.MAX_WBITS}
CONSTANTS |= {name: getattr(lzma, name[5:]) for name in ("lzma.FORMAT_AUTO", "lzma.FORMAT_XZ", "lzma.FORMAT_ALONE")}
