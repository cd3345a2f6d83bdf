"""A stranger's Python source as a tree: bounded in bytes, code and nesting before it is parsed, and never run.

A tree takes up to 800 bytes of memory for each byte of code; a string takes no more than it has, and is what a packed
program consists of.
"""

import ast
import codecs
import gc
import io
import re
import tokenize
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

MOST_BYTES = 4 << 20  # of source text in one file
MOST_CODE = 1 << 19  # characters of it outside of strings and comments; a program of 3000 lines has 130,000
MOST_NODES = 300_000  # of a tree; a program of 3000 lines has 40,000
MOST_NESTING = 150  # of nodes inside one another: fewer than Python's own functions on trees have room for
MOST_PARTS = 100  # of a name with dots: in an import, Python's parser keeps all beginnings of one, 5 GB for 130 kB
ENCODINGS = ("utf-8", "ascii", "iso8859-1", "cp1252")
# A string or a comment. One that is never closed ends where Python gives up on it. An f-string holds code, and since
# Python 3.12 any quotes: where group 1 finds one, or what looks like one, all that follows counts as code.
TEXT = re.compile(
    r"""\#[^\n]*+
    | ([fFtT][rR]?["'] | [rR][fFtT]["'])
    | "{3}(?:[^"\\]++|\\.|"(?!""))*+(?:"{3})?
    | '{3}(?:[^'\\]++|\\.|'(?!''))*+(?:'{3})?
    | "(?:[^"\\\n]++|\\.)*+"?
    | '(?:[^'\\\n]++|\\.)*+'?""",
    re.VERBOSE | re.DOTALL,
)
# A letter is anything but ASCII's marks; between name and dot a line may be continued.
LONG_NAME = re.compile(rf"(?<![\w\x80-\U0010ffff])(?:[\w\x80-\U0010ffff]++[\s\\]*+\.[\s\\]*+){{{MOST_PARTS - 1}}}")


class Unreadable(Exception):
    """A source that cannot be read: a sentence without its file, and the line if one is known."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.reason, self.line = reason, line


def parse(content: bytes) -> ast.Module:
    """The tree of a file's content. Raises Unreadable."""
    if len(content) > MOST_BYTES:
        raise Unreadable(f"is {len(content):,} bytes long; source over {MOST_BYTES:,} bytes is not read")
    text = text_of(content)
    pieces = _code(text)
    if (code := sum(map(len, pieces))) > MOST_CODE:
        raise Unreadable(f"has {code:,} characters of code; more than {MOST_CODE:,} are not read")
    if any(map(LONG_NAME.search, pieces)):
        raise Unreadable(f"has a name of {MOST_PARTS} parts or more, which is not read")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a stranger's escape sequences are no concern of ours
            tree = ast.parse(text)
    except SyntaxError as e:
        raise Unreadable(f"is not Python: {e.msg}", e.lineno) from None
    except ValueError as e:
        raise Unreadable(f"is not Python: {e}") from None
    except (RecursionError, MemoryError):
        raise Unreadable("is nested too deep to be read") from None
    _check_size(tree)
    return tree


def _check_size(tree: ast.Module) -> None:
    nodes, level = 0, list[ast.AST]([tree])
    for _ in range(MOST_NESTING):
        nodes += len(level)
        if nodes > MOST_NODES:
            raise Unreadable("has more code than is read")
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    if level:
        raise Unreadable("is nested too deep to be read")


def _code(text: str) -> list[str]:
    """The pieces of a source between its strings and comments."""
    pieces, end = [], 0
    for found in TEXT.finditer(text):
        if found[1]:
            break
        pieces.append(text[end : found.start()])
        end = found.end()
    return [*pieces, text[end:]]


def text_of(content: bytes) -> str:
    """The text of a source, in the encoding that its first lines name. Raises Unreadable."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        if codecs.lookup(encoding.removesuffix("-sig")).name not in ENCODINGS:
            raise Unreadable("is in an encoding that is not read")
        return content.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")  # as Python reads it
    except UnicodeDecodeError as e:
        raise Unreadable("is not UTF-8 text", content.count(b"\n", 0, e.start) + 1) from None
    except (SyntaxError, ValueError, LookupError):
        raise Unreadable(
            "is not UTF-8 text", 1
        ) from None  # its first lines, or they name an encoding that is not there


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the collector of cycles, which takes up to half of the time of making and walking trees to find hardly
    any garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
