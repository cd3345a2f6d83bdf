"""Changes of an input: of its bytes, its lines, its values. All are drawn from the random numbers that are given."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

MOST_BYTES = 1 << 18  # of an input, so that a few changes do not grow it for ever


class Raw(str):
    """Text that stands in JSON or TOML as it is."""


NUMBERS = [
    "0", "-0", "-1", "1", "7", "255", "256", "65536", "2147483647", "2147483648", "4294967296", "9223372036854775807",
    "9223372036854775808", "-9223372036854775809", "1e308", "1e309", "-1e400", "1e-400", "0.1", "1_000", "0x10", "1e",
    "NaN", "-NaN", "Infinity", "-Infinity", "nan", "inf", "1.7976931348623157e308",
    "9" * 400, "9" * 5000, "-" + "1" * 300,
    "0." + "3" * 300, "1e" + "9" * 20,
]  # fmt: skip
TEXTS = [
    "", " ", "\0", "a\0b", "\n", "\r\n", "\x1b[31mred\x1b]0;title\x07", "\ud800", "\udfff\ud800", "‮", "\ufeff",
    "../../etc/passwd", "/etc/passwd", "/dev/zero", "..", ".", "~", "~root", "a/../../b", "x" * 300, "x" * 70_000,
    "{run_id}", "{artifact}", "${HOME}", "$(id)", "`id`", "<script>", "[red]", "%s%n", "LD_PRELOAD", "PATH", "😀" * 50,
    "2026-02-30", "(a+)+$", "[" * 500, "\\", '"', "'", "1" * 400, "-1", "nan", "file:///etc/passwd", "http://x@y:1/z",
]  # fmt: skip
WORDS = [
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc0\x80", b"\xed\xa0\x80", b"\r", b"\n", b"\r\n", b"\x1b[2J", b"\x85",
    b"\x0c", b"\xe2\x80\xa8", b"NaN", b"Infinity", b"null", b"true", b"{", b"}", b"[", b"]", b'"', b"'", b"'''",
    b"#", b"=", b":", b",", b"\\", b"\\u0000", b"\\ud800", b"-", b"(", b")", b"0x", b"1e999", b"../", b"%", b"<",
    b"|",
]  # fmt: skip
BIG = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def nested(rng: Random) -> Raw:
    """Brackets in brackets, closed or not."""
    depth = rng.choice((50, 200, 900, 5_000, 50_000))
    opening, closing = rng.choice((("[", "]"), ('{"a":', "}"), ("{a=", "}"), ("[{", "}]"), ("(", ")")))
    return Raw(opening * depth + rng.choice(("", "1")) + closing * (depth if rng.random() < 0.8 else 0))


def weird(rng: Random) -> Any:
    """A value that nobody expects there."""
    kind = rng.randrange(10)
    if kind < 3:
        return Raw(rng.choice(NUMBERS))
    if kind < 6:
        return rng.choice(TEXTS)
    if kind == 6:
        return nested(rng)
    if kind == 7:
        return rng.choice(([], {}, [[]], [None], [0] * 1000, ["x"] * 1000, {"": ""}, {str(i): i for i in range(500)}))
    return rng.choice((None, True, False, 0, -1, 1, 0.5, -0.5, 2**31, 2**63, -(2**63), 10**18, 10**30))


# bytes


def _flip(rng: Random, content: bytearray) -> None:
    for _ in range(rng.choice((1, 1, 2, 8))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _set(rng: Random, content: bytearray) -> None:
    content[rng.randrange(len(content))] = rng.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, rng.randrange(256)))


def _word(rng: Random, content: bytearray) -> None:
    at = rng.randrange(len(content) + 1)
    content[at : at + rng.choice((0, 0, 1, 4))] = rng.choice(WORDS)


def _integer(rng: Random, content: bytearray) -> None:
    size, at = rng.choice((1, 2, 4, 8)), rng.randrange(len(content))
    number = (rng.choice(BIG) + rng.choice((-1, 0, 0, 1))) % (1 << 8 * size)
    content[at : at + size] = number.to_bytes(size, rng.choice(("little", "big")))


def _delete(rng: Random, content: bytearray) -> None:
    at = rng.randrange(len(content))
    del content[at : at + _length(rng, len(content))]


def _cut(rng: Random, content: bytearray) -> None:
    del content[rng.randrange(len(content)) :]


def _double(rng: Random, content: bytearray) -> None:
    at = rng.randrange(len(content))
    block = content[at : at + _length(rng, len(content))]
    content[at:at] = block * min(rng.choice((1, 1, 2, 30, 1000)), max(1, MOST_BYTES // (len(block) + 1)))


def _run(rng: Random, content: bytearray) -> None:
    at = rng.randrange(len(content) + 1)
    content[at:at] = bytes([rng.choice(b"\0 \n[({-9aA.\"'#\t\xff") if rng.random() < 0.8 else rng.randrange(256)]) * (
        1 << rng.randrange(4, 17)
    )


def _number(rng: Random, content: bytearray) -> None:
    """Another number in place of one that is there."""
    if found := _near(rng, content, rb"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"):
        content[found.start() : found.end()] = rng.choice(NUMBERS).encode()


def _name(rng: Random, content: bytearray) -> None:
    """A word doubled, or another one of the input in its place."""
    if (one := _near(rng, content, rb"\w+")) and (other := _near(rng, content, rb"\w+")):
        content[one.start() : one.end()] = other[0] if rng.random() < 0.7 else one[0] * 2


def _near(rng: Random, content: bytearray, pattern: bytes) -> "re.Match[bytes] | None":
    at = rng.randrange(len(content) + 1)
    part = re.compile(pattern)
    return part.search(content, at, at + 2000) or part.search(content, 0, 2000)


def _length(rng: Random, most: int) -> int:
    return min(most, rng.choice((1, 2, 7, 30, 200, 4000)))


CHANGES: tuple[Callable[[Random, bytearray], None], ...] = (
    _flip, _set, _word, _integer, _delete, _cut, _double, _run, _number, _number, _name,
)  # fmt: skip


def change_bytes(rng: Random, content: bytes, others: Sequence[bytes] = (), words: Sequence[bytes] = ()) -> bytes:
    """One to four changes; a part of `others` may take a part's place, `words` belong to the format."""
    new = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        chance = rng.random()
        if others and chance < 0.08:
            other = rng.choice(others)
            at, start = rng.randrange(len(new) + 1), rng.randrange(len(other) + 1)
            new[at : at + _length(rng, 4000)] = other[start : start + _length(rng, 4000)]
        elif words and chance < 0.25:
            at = rng.randrange(len(new) + 1)
            new[at:at] = rng.choice(words) * rng.choice((1, 1, 1, 3, 200))
        elif new:
            rng.choice(CHANGES)(rng, new)
        del new[MOST_BYTES:]
    return bytes(new)


def change_lines(rng: Random, content: bytes, words: Sequence[bytes]) -> bytes:
    """Lines of a text doubled, moved, removed, cut or joined, with other numbers; `words` begin lines of the format."""
    lines = content.split(b"\n")
    for _ in range(rng.choice((1, 1, 3, 10))):
        at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        match rng.randrange(8):
            case 0:
                lines[at:at] = [lines[other]] * rng.choice((1, 1, 50, 1000))
            case 1:
                lines[at], lines[other] = lines[other], lines[at]
            case 2 if len(lines) > 1:
                del lines[at : at + rng.choice((1, 1, 5, 50))]
                lines = lines or [b""]
            case 3:
                lines[at] = re.sub(rb"\d+(?:\.\d+)?", lambda found: rng.choice((found[0], _digits(rng))), lines[at])
            case 4:
                lines[at] = lines[at][: rng.randrange(len(lines[at]) + 1)] + lines[other]
            case 5:
                lines[at] = rng.choice(words) + rng.choice((b"", b" ", b":", b"=")) + _digits(rng)
            case 6:
                lines[at] = rng.choice(words) + lines[at]
            case _:
                lines[at] += rng.choice(WORDS) * rng.choice((1, 1, 100, 70_000))
    return b"\n".join(lines)[:MOST_BYTES]


def _digits(rng: Random) -> bytes:
    return rng.choice(NUMBERS).encode()


# values


def _nodes(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key or index) of every value inside."""
    for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _nodes(inner)


def change_value(rng: Random, value: Any) -> Any:
    """One to three values in a JSON-like value replaced, removed, renamed, moved, doubled; `value` itself is kept."""
    new = json.loads(json.dumps(value))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        nodes = list(_nodes(new)) if isinstance(new, dict | list) else []
        if not nodes or rng.random() < 0.02:
            return weird(rng)
        (where, key), (_, other) = rng.choice(nodes), rng.choice(nodes)
        match rng.randrange(9):
            case 0:
                del where[key]
            case 1 if isinstance(where, dict):
                where[rng.choice((str(other), rng.choice(TEXTS), f"{key}_", str(key).upper()))] = where.pop(key)
            case 2:
                where[key] = [where[key]]
            case 3:
                where[key] = {str(key): where[key]}
            case 4 if isinstance(where, list):
                where += [where[key]] * rng.choice((1, 3, 100))
            case 5 if isinstance(where[key], int | float):
                where[key] = rng.choice(
                    (-where[key], where[key] + 1, where[key] * 10**6, where[key] / 7, Raw(str(where[key]) + "0" * 30))
                )
            case 6:
                source, name = rng.choice(nodes)
                with_it = source.get(name) if isinstance(source, dict) else None
                where[key] = json.loads(json.dumps(with_it)) if not isinstance(with_it, Raw) else with_it
            case _:
                where[key] = weird(rng)
    return new


def as_json(value: Any) -> str:
    """JSON, with `Raw` as it is and lone surrogates escaped."""
    match value:
        case Raw():
            return str(value)
        case dict():
            return "{" + ", ".join(f"{json.dumps(str(k))}: {as_json(v)}" for k, v in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(as_json, value)) + "]"
    return json.dumps(value)


def as_toml(table: Any) -> str:
    """TOML, with `Raw` as it is, inner tables in their line."""
    if not isinstance(table, dict):
        return _toml(table)
    return "".join(f"{_key(name)} = {_toml(value)}\n" for name, value in table.items())


def _toml(value: Any) -> str:
    match value:
        case Raw():
            return str(value)
        case dict():
            return "{" + ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case None:
            return '""'
        case float():
            return str(value)  # infinity is inf
    return json.dumps(value)


def _key(name: Any) -> str:
    return str(name) if re.fullmatch(r"[A-Za-z0-9_-]+", str(name)) else json.dumps(str(name))


def change_json(rng: Random, value: Any, others: Sequence[bytes] = ()) -> bytes:
    """A file of JSON: mostly its values changed, else its bytes."""
    if rng.random() < 0.25:
        return change_bytes(rng, as_json(value).encode(), others)
    text = as_json(change_value(rng, value)).encode("utf-8", "surrogatepass")[:MOST_BYTES]
    return change_bytes(rng, text) if rng.random() < 0.1 else text


def change_toml(rng: Random, value: Any, others: Sequence[bytes] = ()) -> bytes:
    """A file of TOML, likewise."""
    if rng.random() < 0.25:
        return change_bytes(
            rng, as_toml(value).encode(), others, words=(b"[[", b"]]", b'"""', b"\n[a]\n", b"a.b.c = 1\n")
        )
    text = as_toml(change_value(rng, value)).encode("utf-8", "surrogatepass")[:MOST_BYTES]
    return change_bytes(rng, text) if rng.random() < 0.1 else text
