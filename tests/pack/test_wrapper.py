"""The self-extracting script: every byte survives being source code, whatever compresses it."""

import ast
import sys

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from pgolf.errors import BadInput
from pgolf.pack.wrapper import COMPRESSORS, _literal, smallest, unwrap, wrap

AWKWARD = st.lists(st.sampled_from(["'", '"', "\\", "\r", "\n", "\0", "0", "8", "x", "\xff"])).map("".join)


@examples(300)
@given(AWKWARD | st.binary(max_size=200).map(lambda b: b.decode("latin-1")))
def test_any_bytes_survive_as_a_string_in_a_source_file(text):
    source = b"#coding:l1\nx=" + _literal(text).encode("latin-1") + b"\n"
    assert ast.literal_eval(ast.parse(source).body[0].value) == text


@pytest.mark.parametrize("name", COMPRESSORS)
@pytest.mark.parametrize("ascii_only", [False, True])
def test_a_script_runs_and_gives_its_source_back(monkeypatch, name, ascii_only):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # the script sets its own
    source = "x = 'Größe ▁ \\n'\n" + "y = x * 2\n" * 20
    script = wrap(source, "pgolf 1.2 abc", COMPRESSORS[name], ascii_only)
    assert unwrap(script) == ("pgolf 1.2 abc", source)
    assert script.isascii() or not ascii_only
    scope = {"__file__": "packed.py", "__name__": "packed"}
    exec(compile(script, "packed.py", "exec"), scope)
    assert scope["y"] == "Größe ▁ \n" * 2


def test_future_imports_stay_first(monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    source = "from __future__ import annotations\nx: missing = 1\n"
    script = wrap(source, "", COMPRESSORS["zlib"])
    exec(compile(script, "packed.py", "exec"), {"__file__": "packed.py"})
    assert unwrap(script)[1] == source


def test_the_smallest_uses_brotli_only_where_it_may():
    source = "def f(a, b):\n    return a + b\n" * 50
    assert smallest(source, "", with_brotli=True)[1].name == "brotli"
    assert smallest(source, "", with_brotli=False)[1].name != "brotli"


@pytest.mark.parametrize(
    "script", [b"", b"print(1)\n", b"import brotli\ns=brotli.decompress('abcdefghijklm')\n", b"\0\1"]
)
def test_other_files_are_refused(script):
    with pytest.raises(BadInput, match="pgolf pack"):
        unwrap(script)
