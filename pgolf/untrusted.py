"""The one way in for a stranger's file: a regular file, inside its folder, of bounded size, numbers and nesting.

A file may be a pipe without end, a device, a link to the user's own files, or 200 GB of zeros; JSON and TOML may nest
until Python gives up. Every reader of such a file reads it here, and has one error to expect.
"""

import hashlib
import json
import math
import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from pgolf.errors import BadInput

MOST_DEPTH = 64  # of lists and tables inside one another, and of parts of a dotted key
MOST_SHOWN = 1000  # characters of a message: a stranger chose some of them
GREATEST = 2**63 - 1  # what 64 bits hold
MIB = PIECE = 1 << 20

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
# no alternative can fail after it has begun, so that the time grows with the length alone
JSON_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|([\[{])|([\]}])', re.S)
TOML_TOKEN = re.compile(
    r'"""(?:[^"\\]++|\\.|"(?!""))*+(?:""")?'
    r"|'''(?:[^']++|'(?!''))*+(?:''')?"
    r'|"(?:[^"\\\n]++|\\[^\n])*+"?'
    r"|'[^'\n]*+'?"
    r"|\#[^\n]*+|([\[{])|([\]}])|(\.)|([=,\n])",
    re.S,
)
HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")


class Untrusted(BadInput):
    """A stranger's file cannot be used. One line that names the file, with no character that does not print."""

    def __init__(self, message: str) -> None:
        shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in message[: MOST_SHOWN + 1])
        super().__init__(shown if len(shown) <= MOST_SHOWN else shown[: MOST_SHOWN - 1] + "…")

    def without(self, name: object) -> str:
        """The message without the file's name before it, for a sentence that has the name already."""
        return str(self).removeprefix(f"{name}: ")


def first_of(errors: Sequence[Mapping[str, Any]]) -> str:
    """The first of pydantic's errors, as the entry and what is wrong with it.

    >>> first_of([{"loc": ("run", "nproc"), "msg": "give a whole number"}])
    'run.nproc: give a whole number'
    """
    return f"{'.'.join(map(str, errors[0]['loc']))}: {errors[0]['msg']}"


def open_regular(path: Path, inside: Path | None = None) -> BinaryIO:
    """Open a regular file for reading bytes; the caller closes it and bounds what it reads.

    Parameters
    ----------
    path : the file, or a link to it.
    inside : the folder that the file must lie in once all links are followed; None: anywhere.

    Raises
    ------
    Untrusted : missing, unreadable, no regular file, or a link that leads out of `inside`. Nothing is waited for.
    """
    try:
        where = path if inside is None else path.resolve()
        if inside is not None and not where.is_relative_to(inside.resolve()):
            raise Untrusted(f"{path}: a link that leads out of the folder {inside}; put the file itself there")
        _check_regular(path, os.stat(where))  # before it is opened: some devices act when they are
        only = 0 if inside is None else os.O_NOFOLLOW  # where it has become a link since
        fd = os.open(where, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | only)
    except RuntimeError:  # Python 3.11 and 3.12 raise it for links in a circle
        raise Untrusted(f"{path}: a link that leads to itself; remove it") from None
    except OSError as e:
        raise Untrusted(f"{path}: cannot be read: {e.strerror}") from None
    except ValueError as e:
        raise Untrusted(f"{path}: no name of a file: {e}") from None
    try:
        _check_regular(path, os.fstat(fd))
        return os.fdopen(fd, "rb")
    except BaseException:
        os.close(fd)
        raise


def _check_regular(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = KINDS.get(stat.S_IFMT(found.st_mode), "of a kind that cannot be read")
        raise Untrusted(f"{path}: no plain file but {kind}; put a file there, or remove it")


def read_bytes(path: Path, most: int, inside: Path | None = None) -> bytes:
    """The content of a regular file of at most `most` bytes; see `open_regular` for `inside` and errors."""
    return b"".join(_pieces(path, most, inside))


def _pieces(path: Path, most: int, inside: Path | None) -> Iterator[bytes]:
    def check(size: int) -> None:
        if size > most:
            limit = f"{most:,} bytes" if most % MIB else f"{most // MIB:,} MiB"
            raise Untrusted(f"{path}: over {limit}, and such a file is smaller; look at what it is")

    with open_regular(path, inside) as f:
        check(os.fstat(f.fileno()).st_size)
        size = 0
        try:
            while piece := f.read(PIECE):
                size += len(piece)
                check(size)  # it may have grown
                yield piece
        except OSError as e:
            raise Untrusted(f"{path}: cannot be read: {e.strerror}") from None


def read_beginning(path: Path, most: int, inside: Path | None = None) -> bytes:
    """The first `most` bytes of a regular file, or all of it; see `open_regular` for `inside` and errors."""
    with open_regular(path, inside) as f:
        try:
            return f.read(most) or b""
        except OSError as e:
            raise Untrusted(f"{path}: cannot be read: {e.strerror}") from None


def list_folder(folder: Path, most: int) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name; of more than `most` files and folders as many as these. Links are not followed.

    Raises
    ------
    Untrusted : no folder, or one that cannot be read.
    """
    try:
        with os.scandir(folder) as found:
            return sorted(islice(found, most), key=lambda e: e.name)
    except (OSError, ValueError) as e:
        raise Untrusted(f"{folder}: cannot be read: {e.strerror if isinstance(e, OSError) else e}") from None


def read_text(path: Path, most: int, inside: Path | None = None, errors: str = "strict") -> str:
    """The text of a UTF-8 file of at most `most` bytes, without a byte order mark.

    Raises
    ------
    Untrusted : as `open_regular`, or not UTF-8 where `errors` is 'strict'.
    """
    return _decoded(read_bytes(path, most, inside), str(path), errors)


def _decoded(content: bytes, name: str, errors: str = "strict") -> str:
    try:
        return content.decode("utf-8-sig", errors)
    except UnicodeDecodeError as e:
        raise Untrusted(f"{name}: not UTF-8 at byte {e.start:,}; save it as UTF-8") from None


def hash_file(path: Path, most: int, inside: Path | None = None) -> str:
    """SHA-256 of a regular file of at most `most` bytes, in hexadecimal; errors as `open_regular`."""
    digest = hashlib.sha256()
    for piece in _pieces(path, most, inside):
        digest.update(piece)
    return digest.hexdigest()


def parse_json(
    content: str | bytes, name: str, most_depth: int = MOST_DEPTH, number: Callable[[str], Any] | None = None
) -> Any:
    """The value of a JSON text.

    Parameters
    ----------
    content : the text; bytes are UTF-8, with or without a byte order mark.
    name : says in a message which text it is.
    most_depth : lists and objects inside one another.
    number : makes a value of each number's text, also of NaN and Infinity. Default: int or float, and a number that is
        not finite, or an integer that 64 bits do not hold, is refused.

    Raises
    ------
    Untrusted : not JSON, or over these bounds.

    Examples
    --------
    >>> parse_json('{"val_bpb": 1.0810}', "submission.json")
    {'val_bpb': 1.081}
    """
    text = _decoded(content, name) if isinstance(content, bytes) else content

    def integer(digits: str) -> int:
        return _integer(int(digits) if len(digits) <= 20 else GREATEST + 1, name)

    def real(digits: str) -> float:
        return _finite(digits, name)

    if is_deeper(text, most_depth):
        _too_deep(name, most_depth)
    try:
        value = json.loads(text, parse_int=number or integer, parse_float=number or real, parse_constant=number or real)
    except (ValueError, RecursionError) as e:
        raise Untrusted(f"{name}: not JSON: {e}") from None
    return _whole(value) if HALF_CHARACTER.search(text) else value


def read_json(path: Path, most: int, inside: Path | None = None) -> Any:
    """The value of a JSON file of at most `most` bytes; errors as `open_regular` and `parse_json`."""
    return parse_json(read_bytes(path, most, inside), str(path))


def parse_toml(content: str | bytes, name: str, finite: bool = True) -> dict[str, Any]:
    """The entries of a TOML text; `name` says in a message which text it is. Unless `finite`, inf and nan may be there.

    Raises
    ------
    Untrusted : not TOML, nested too deeply, a number that is not finite, or an integer that 64 bits do not hold.

    Examples
    --------
    >>> parse_toml("alpha = 0.01", "track.toml")
    {'alpha': 0.01}
    """
    text = _decoded(content, name) if isinstance(content, bytes) else content

    def real(digits: str) -> float:
        return float(digits) if finite or digits.lstrip("+-") in ("inf", "nan") else _finite(digits, name)

    _check_toml_depth(text, name)
    try:
        table = tomllib.loads(text, parse_float=real)
    except (ValueError, RecursionError) as e:
        raise Untrusted(f"{name}: not TOML: {e}") from None
    _check_numbers(table, name, finite)
    return table


def read_toml(path: Path, most: int, inside: Path | None = None, finite: bool = True) -> dict[str, Any]:
    """The entries of a TOML file of at most `most` bytes; errors as `open_regular` and `parse_toml`."""
    return parse_toml(read_bytes(path, most, inside), str(path), finite)


def _integer(value: int, name: str) -> int:
    if not -GREATEST - 1 <= value <= GREATEST:
        raise Untrusted(f"{name}: an integer that 64 bits do not hold; correct it")
    return value


def _finite(digits: str, name: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise Untrusted(f"{name}: {digits[:40]} is no finite number; correct it")
    return value


def is_deeper(text: str, most: int = MOST_DEPTH) -> bool:
    """Whether a JSON text has more than `most` lists and objects inside one another."""
    if text.count("[") + text.count("{") <= most:
        return False
    depth = 0
    for token in JSON_TOKEN.finditer(text):
        depth += (token.lastindex == 1) - (token.lastindex == 2)
        if depth > most:
            return True
    return False


def _check_toml_depth(text: str, name: str) -> None:
    """Brackets, and parts of dotted keys: tomllib takes time with the square of these."""
    depth = dots = 0
    for token in TOML_TOKEN.finditer(text):
        depth += (token.lastindex == 1) - (token.lastindex == 2)
        if token.lastindex:
            dots = dots + 1 if token.lastindex == 3 else 0
        if max(depth, dots) >= MOST_DEPTH:
            _too_deep(name, MOST_DEPTH)


def _too_deep(name: str, most: int) -> NoReturn:
    raise Untrusted(f"{name}: over {most} lists or tables inside one another; make it flatter")


def _check_numbers(value: Any, name: str, finite: bool, entry: str = "") -> None:
    if isinstance(value, int):
        _integer(value, f"{name}: {entry}")
    elif isinstance(value, float) and finite:
        _finite(str(value), f"{name}: {entry}")
    elif isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            _check_numbers(part, name, finite, f"{entry}.{key}" if entry else str(key))


def _whole(value: Any) -> Any:
    """The value with U+FFFD for each half of a character: such text can be neither printed nor written."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole(part) for part in value]
    return {_whole(k): _whole(v) for k, v in value.items()} if isinstance(value, dict) else value
