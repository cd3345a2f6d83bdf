"""A stranger's Python as a tree: what people write is read as Python reads it, what would cost memory is refused."""

import ast
import contextlib

import pytest
from measured import run_measured

from pgolf.python_source import MOST_CODE, MOST_NESTING, MOST_PARTS, Unreadable, parse


@pytest.mark.parametrize(
    "content",
    [
        b"x = 1\r\ny = 'a\\\r\nb'\rz = 2\n",
        b"\xef\xbb\xbfx = '\xc3\xbc'\n",
        b"#coding:l1\nx = '\xfc'\n",
        b"# -*- coding: latin-1 -*-\nx = b'\\xff'\n",
        b"#!/usr/bin/env python\n# coding: utf-8\nx = 1\n",
        b"",
    ],
)
def test_a_tree_is_the_one_that_python_makes(content):
    assert ast.dump(parse(content)) == ast.dump(ast.parse(content))


@pytest.mark.parametrize(
    ("content", "reason", "line"),
    [
        (b"def f(:\n", "is not Python", 1),
        (b"x = 1\nx = '\xff'\n", "is not UTF-8 text", 2),
        (b"# coding: utf-7\nx = 1\n", "an encoding that is not read", None),
        (b"# coding: no-such\nx = 1\n", "is not UTF-8 text", 1),
        (b"# coding: rot13\nk = 1\n", "an encoding that is not read", None),
        (b"x = 1\0\n", "is not Python", None),
        (b"(" * 100_000 + b")" * 100_000, "is not Python", 1),
        (b"x = " + b"-" * 100_000 + b"1", "nested too deep", None),
        (b"x = " + b"1 + " * 50_000 + b"1", "nested too deep", None),
        (b"x = " + b"1 + " * MOST_NESTING + b"1", "nested too deep", None),
        (b"x = a" + b".b" * 100_000, "a name of 100 parts", None),
        (b"x = " + b"9" * 5000, "is not Python", 1),
    ],
)
def test_a_source_that_cannot_be_read_says_why(content, reason, line):
    with pytest.raises(Unreadable, match=reason) as refused:
        parse(content)
    assert line is None or refused.value.line == line


STRING = "'" + "1," * MOST_CODE + "'\n"


@pytest.mark.parametrize(
    "source",
    [
        STRING,
        STRING.replace("'", '"""'),
        "r" + STRING,
        "b'''\\''" + STRING[1:-1] + "''\n",
        "# " + STRING,
        "x = 'it''s' \"#\" '\\\\' # '\n" + STRING,
        "'''a''''b'\n" + STRING,
    ],
    ids=range(7),
)
def test_long_strings_and_comments_are_no_code(source):
    parse(source.encode())


@pytest.mark.parametrize(
    "source",
    [
        "1," * (MOST_CODE // 2 + 1),
        "'a' # '\n" + "1," * (MOST_CODE // 2 + 1),
        "'\\\\' '\\'' \"'\" '''\"''' '''a'''\n" + "1," * (MOST_CODE // 2 + 1),
        "''''''\n" + "1," * (MOST_CODE // 2 + 1) + "'''a'''",
        "'a\\\r\n '\r" + "1," * (MOST_CODE // 2 + 1),
        'f"{\'"\'}"\n' + "1," * (MOST_CODE // 2 + 1) + "'",  # where quotes may be nested, a string begins nowhere
        "rF'{" + "1," * (MOST_CODE // 2 + 1) + "}'",
        "f'{x}' '" + "1," * (MOST_CODE // 2 + 1) + "'",  # not told apart after an f-string
    ],
    ids=range(8),
)
def test_code_cannot_be_hidden_behind_strings(source):
    with pytest.raises(Unreadable, match="characters of code"):
        parse(source.encode())


LONG = ".".join("a" * MOST_PARTS)


@pytest.mark.parametrize(
    "source",
    [
        f"import {LONG}",
        f"from {LONG} import b",
        f"import b, c as d, {LONG}",
        f"import {LONG.replace('.', ' . ')}",
        f"import {LONG.replace('.', chr(92) + chr(10) + '.' + chr(12))}",
        f"import {LONG.replace('a', 'a' + chr(0x301))}",  # a combining mark, a letter to Python alone
        f"import {LONG.replace('a', chr(0xB5))}",
        f"'a' ; import {LONG}; 'a'",
        f"import x; f'{{x}}'; import {LONG}",
    ],
    ids=range(9),
)
def test_a_name_of_many_parts_is_refused(source):
    """Python's parser takes memory by the square of its length: 5 GB for 68,000 parts in an import."""
    with pytest.raises(Unreadable, match="a name of 100 parts"):
        parse(source.encode())
    ast.parse(source)  # it is Python, and small enough to see that


def test_a_name_of_fewer_parts_is_read():
    parse(f"import {LONG[2:]}\nx = '{LONG * 9}'  # {LONG}".encode())


def test_no_pattern_is_slow_on_what_it_refuses():
    """Whatever looks like the beginning of a long name, as much of it as may be read."""
    for unit in ("a", "a ", "a.", "a. ", ".", " ", "a\\\n", f"{LONG[4:]} "):
        with contextlib.suppress(Unreadable):
            parse((unit * (MOST_CODE // len(unit))).encode())


def test_much_code_takes_little_memory():
    """As many numbers as a file may hold took 3 GB to parse."""
    script = "from pgolf.python_source import *\ntry: parse(b'1,' * (2 << 20))\nexcept Unreadable as e: print(e)"
    ended = run_measured("-c", script)
    assert "characters of code" in ended.out and ended.peak < 100 << 20
    script = (
        f"from pgolf.python_source import *\ntry: parse(b'1,' * {MOST_CODE // 2})\nexcept Unreadable as e: print(e)"
    )
    assert run_measured("-c", script).peak < 500 << 20
    script = "from pgolf.python_source import *\ntry: parse(b'import ' + b'a.' * 60_000 + b'a')\n"
    ended = run_measured("-c", script + "except Unreadable as e: print(e)")
    assert "100 parts" in ended.out and ended.peak < 100 << 20
