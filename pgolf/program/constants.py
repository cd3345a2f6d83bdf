"""The value of an expression that is constant, found without running it: arithmetic, text, paths, and few functions.

Where a value depends on a loop or a parameter, `Sources.cases` gives each value that it takes.
"""

import ast
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

HERE = PurePosixPath("/<program>")  # the folder that the program's files lie in
MOST_ITEMS, MOST_CHARS = 5000, 1 << 24
PERCENT = re.compile(r"(?:[^%]|%%|%[-+ #0]*\d{0,2}(?:\.\d{1,2})?[a-zA-Z])*+")
FORMAT = r"[<>=^]?[-+ ]?#?0?\d{0,2}[,_]?(?:\.\d{1,2})?[a-zA-Z%]?"
SPEC = re.compile(FORMAT)
BRACES = re.compile(rf"(?:[^{{}}]|\{{\{{|\}}\}}|\{{\w*(?:![rs])?(?::{FORMAT})?\}})*+")


class NotConstant(Exception):
    """An expression whose value is known only when the program runs."""


@dataclass(frozen=True)
class Field:
    """A field of a class: what `dataclasses.fields` gives, as far as it is constant."""

    name: str
    default: Any


@dataclass(frozen=True)
class Opened:
    """A file that is open, by its content."""

    content: bytes
    binary: bool
    encoding: str = "utf-8"

    def read(self) -> str | bytes:
        """All of it, as Python reads it in its mode."""
        if self.binary:
            return self.content
        return self.content.decode(self.encoding).replace("\r\n", "\n").replace("\r", "\n")


BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
}
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
    ast.Invert: operator.invert,
}


def _path(*parts: Any) -> PurePosixPath:
    return PurePosixPath(*(p if isinstance(p, PurePosixPath) else _text(p) for p in parts))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise NotConstant
    return value


def _join(*parts: Any) -> str:
    """As os.path.join: the parts' spelling is kept, './data' stays './data'."""
    text = ""
    for part in map(str, map(_path, parts)) if any(isinstance(p, PurePosixPath) for p in parts) else map(_text, parts):
        text = part if part.startswith("/") or not text else text.rstrip("/") + "/" + part
    return text


def _few(items: Any) -> Any:
    return items if len(items) <= MOST_ITEMS else _unknown()


def _same(value: Any) -> Any:
    return value


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "len": len,
    "abs": abs,
    "round": round,
    "min": min,
    "max": max,
    "list": lambda items=(): list(_few(items)),
    "tuple": lambda items=(): list(_few(items)),
    "set": lambda items=(): list(_few(items)),
    "sorted": lambda items: sorted(_few(items)),
    "reversed": lambda items: list(_few(items))[::-1],
    "dict": dict,
    "enumerate": lambda items, start=0: list(enumerate(_few(items), start)),
    "zip": lambda *items: list(zip(*map(_few, items), strict=False)),
    "range": lambda *ends: list(range(*ends)) if len(range(*ends)) <= MOST_ITEMS else _unknown(),
    "os.path.join": _join,
    "os.fspath": str,
    "os.path.abspath": lambda path: str(HERE / path),
    "os.path.realpath": lambda path: str(HERE / path),
    "os.path.normpath": lambda path: str(PurePosixPath(path)),
    "os.path.dirname": lambda path: str(path).rpartition("/")[0],
    "os.path.basename": lambda path: str(path).rpartition("/")[2],
    "os.path.expanduser": _same,
    "os.getcwd": lambda: str(HERE),
    "pathlib.Path": _path,
    "pathlib.PurePath": _path,
    "pathlib.PosixPath": _path,
    "pathlib.Path.cwd": lambda: HERE,
    "shlex.split": lambda text: _text(text).split(),
}
METHODS: dict[type, set[str]] = {
    str: {
        *("upper", "lower", "strip", "lstrip", "rstrip", "replace", "split", "rsplit", "title", "capitalize", "join"),
        *("startswith", "endswith", "removeprefix", "removesuffix", "partition", "rpartition", "encode", "find"),
        *("splitlines", "index", "rfind", "rindex", "casefold", "format"),
    },
    bytes: {
        *("decode", "strip", "lstrip", "rstrip", "replace", "split", "rsplit", "partition", "rpartition", "find"),
        *("index", "rfind", "rindex", "join", "splitlines", "removeprefix", "removesuffix", "startswith", "hex"),
    },
    dict: {"items", "keys", "values", "get", "copy"},
    PurePosixPath: {"joinpath", "with_name", "with_suffix", "with_stem", "as_posix"},
}
SAME_PATH = ("resolve", "absolute", "expanduser")
PATH_PARTS = ("parent", "name", "stem", "suffix", "parts")


def _unknown() -> Any:
    raise NotConstant


def unpack(target: ast.expr, item: Any) -> dict[str, Any]:
    if isinstance(target, ast.Name):
        return {target.id: item}
    if isinstance(target, ast.Tuple | ast.List) and isinstance(item, list | tuple) and len(item) == len(target.elts):
        return {k: v for part, value in zip(target.elts, item, strict=True) for k, v in unpack(part, value).items()}
    raise NotConstant


def binary(op: ast.operator, left: Any, right: Any) -> Any:
    if isinstance(op, ast.Pow | ast.LShift) and not (isinstance(right, int | float) and abs(right) <= 64):
        raise NotConstant
    sizes = [_size(v) for v in (left, right)]
    repeated = isinstance(op, ast.Mult) and any(isinstance(v, str | bytes | list) for v in (left, right))
    if repeated and max(v if isinstance(v, int) else len(v) for v in (left, right)) > 1000:
        raise NotConstant
    if max(sizes) > 4096 and not isinstance(left, str | bytes):
        raise NotConstant
    if isinstance(op, ast.Mod) and isinstance(left, str | bytes):
        if not isinstance(left, str) or not PERCENT.fullmatch(left):
            raise NotConstant
        return left % (tuple(right) if isinstance(right, list) else right)
    return BINARY[type(op)](left, right)


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | bytes | list) else value.bit_length() if isinstance(value, int) else 0


def formatted(value: Any, spec: str) -> str:
    if not SPEC.fullmatch(spec):
        raise NotConstant
    return format(value, spec)


def method(base: Any, name: str, args: list[Any], keywords: dict[str, Any]) -> Any:
    if isinstance(base, PurePosixPath) and name in SAME_PATH:
        return HERE / base
    if isinstance(base, PurePosixPath) and name == "joinpath":
        return _path(base, *args)
    if isinstance(base, Opened) and name in ("read", "readlines") and not args:
        return base.read() if name == "read" else method(base.read(), "splitlines", [True], {})
    for kind, allowed in METHODS.items():
        if isinstance(base, kind) and name in allowed and not _grows(base, name, args):
            found = getattr(base, name)(*args, **keywords)
            return list(found) if isinstance(base, dict) and name != "get" else found
    raise NotConstant


def _grows(base: Any, name: str, args: list[Any]) -> bool:
    """Whether a method of text would make much more of it than there is."""
    if name in ("split", "rsplit", "splitlines"):
        explicit = bool(args) and isinstance(args[0], str | bytes)
        return len(base) > 1 << 20 and (not explicit or base.count(args[0]) > MOST_ITEMS)
    if name == "replace":
        return bool(len(base) + base.count(args[0]) * len(args[1]) > MOST_CHARS)
    if name == "join":
        return len(args[0]) > MOST_ITEMS or sum(len(a) + len(base) for a in args[0]) > MOST_CHARS
    return name == "format" and not BRACES.fullmatch(base)


def result(function: ast.FunctionDef | ast.Lambda) -> ast.expr | None:
    """The expression that a function of one statement returns."""
    if isinstance(function, ast.Lambda):
        return function.body
    body = [n for n in function.body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]
    return body[0].value if len(body) == 1 and isinstance(body[0], ast.Return) else None
