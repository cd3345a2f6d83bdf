"""Packed files that strangers made: `pgolf unpack` ends in one line, holds little memory and prints no control code."""

import os

import brotli
import pytest
from measured import run_measured

from pgolf.errors import BadInput
from pgolf.legality.artifact import _origin
from pgolf.pack import Packed, difference, pack, read_packed, unpack, write_packed
from pgolf.pack.wrapper import COMPRESSORS, PRELUDE, SCRIPT, _literal, _script, open_wrapped, unwrap, wrap
from pgolf.presets import load
from pgolf.record.reproduce import is_ours
from pgolf.untrusted import Untrusted


def packed(source: str) -> bytes:
    return wrap(source, "pgolf 0.1 0123456789abcdef", COMPRESSORS["zlib"])


def bomb(name: str, megabytes: int) -> bytes:
    """A script of some kB that holds so many megabytes of source."""
    code = b"x=0\n" * (megabytes << 18)
    compressor = COMPRESSORS[name]
    small = brotli.compress(code, quality=5) if name == "brotli" else compressor.compress(code)  # in a second
    literal = f"{_literal(small.decode('latin-1'))}.encode('l1')"
    restored = compressor.expression % literal
    return SCRIPT.format(label="pgolf 0.1 0", modules=name, restored=restored).encode("latin-1")


@pytest.mark.parametrize("name", COMPRESSORS)
def test_a_bomb_is_no_file_of_ours(name):
    with pytest.raises(BadInput, match="pgolf pack"):
        unwrap(bomb(name, 5))


def test_unpacking_a_bomb_takes_little_memory(tmp_path):
    path = tmp_path / "packed"  # nothing runs it
    path.write_bytes(bomb("lzma", 200))
    ended = run_measured("unpack", path)
    assert ended.code == 2 and ended.out == "" and ended.peak < 150 << 20
    assert ended.err == f"pgolf: {path}: not a file that `pgolf pack` made\n"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def f(:\n", "its source is not Python"),
        ("(" * 100_000 + ")" * 100_000, "its source is not Python"),
        ("x = " + "-" * 100_000 + "1", "its source is nested too deep"),
        ("x = " + "1 + " * 100_000 + "1", "its source is nested too deep"),
        ("x = a" + ".b" * 100_000, "its source has a name of 100 parts"),
        ("1," * 600_000, "its source has 1,200,"),
        ("x = 1\0", "its source is not Python"),
    ],
    ids=range(7),
)
def test_source_that_is_no_source_ends_in_one_line(source, said):
    with pytest.raises(BadInput, match=said) as refused:
        unpack(packed(source), "train_gpt.py")
    assert str(refused.value).startswith("train_gpt.py: ") and len(str(refused.value)) < 200


@pytest.mark.parametrize(
    "fields",
    [
        "vocab_size: int = [1]\n    num_layers: int = {}\n    seed: bool = None",
        "vocab_size: int = -(-(1))\n    mlp_mult: float = 1e999\n    lqer_enabled: bool = True",
        "vocab_size: int = 99\n    compressor: str = 'x' * 9\n    seed: int = f(1)",
        "vocab_size: int\n    (vocab_size): int = 5\n    a.b: int = 5\n    seed: int = " + "9" * 4000,
    ],
)
def test_defaults_that_are_no_knobs_stop_nothing(fields):
    source = f"class Config:\n    {fields}\n"
    assert "names as in the file" in unpack(packed(source))


@pytest.mark.parametrize("before", ["", "x = 'a'\n"])
def test_no_control_code_is_printed(before):
    hostile = "\x1b]0;owned\x07\x1b[31m\u202e\x9b"
    source = (
        f"{before}'''{hostile}'''\ny = '{hostile}', f'{{1}}{hostile}'\n# {hostile}\ndef f():\n    '''{hostile}'''\n"
    )
    text = unpack(wrap(source, f"pgolf \x1b[31m {'a' * 999}", COMPRESSORS["zlib"]))
    assert all(c.isprintable() or c == "\n" for c in text)
    assert len(text.splitlines()[0]) < 200
    scope: dict[str, object] = {}
    exec(text, scope)
    assert scope["y"] == (hostile, f"1{hostile}")  # the program is the same


def test_only_a_regular_file_of_a_programs_size_is_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.py")
    with (tmp_path / "large.py").open("wb") as f:
        f.truncate(200 << 30)
    for name, said in (("pipe.py", "a pipe"), ("large.py", "over"), ("none.py", "No such file"), ("", "a folder")):
        with pytest.raises(Untrusted, match=said):
            read_packed(tmp_path / name)


EVIL = b'print("evil");import os;os.environ["TTT_EPOCHS"]="9"\n'
CHANGES = {  # what is done to a packed file, and the lines that have to be named
    "before": (lambda code: code.replace(b"\nf=__file__", b"\n" + EVIL + b"f=__file__"), "4"),
    "first": (lambda code: code.replace(b"\nimport ", b"\n" + EVIL + b"import ", 1), "2"),
    "appended": (lambda code: code + EVIL, "6"),
    "same line": (lambda code: code.rstrip(b"\n") + b";" + EVIL, "5"),
    "other source": (lambda code: code.replace(b"compile(s,", b'compile(s.replace(b"1",b"9"),'), "5"),
    "other file": (lambda code: code.replace(b"=__file__+", b"=open(__file__).name+"), "4"),
}


@pytest.fixture(scope="module")
def smoke() -> Packed:
    return pack(load("smoke"))


def changed(code: bytes, how: str) -> bytes:
    out = CHANGES[how][0](code)
    assert out != code
    return out


@pytest.mark.parametrize("how", CHANGES)
def test_code_around_the_wrapper_is_no_file_of_ours_and_is_shown(tmp_path, how):
    code = changed(wrap("x = 1\n" * 9, "pgolf 0.1 0", COMPRESSORS["zlib"], ascii_only=True), how)
    with pytest.raises(BadInput, match=f"code that is not the wrapper's is in line {CHANGES[how][1]}$"):
        unwrap(code)
    path = tmp_path / "train_gpt.py"
    path.write_bytes(code)
    ended = run_measured("unpack", path)
    assert ended.code == 0 and f"line {CHANGES[how][1]};" in ended.err and ended.err.startswith(f"pgolf: {path}: code")
    assert ended.out.startswith(f"# line {CHANGES[how][1]}: not of the wrapper")
    shown = {"other source": "s.replace(b'1', b'9')", "other file": "open(__file__).name"}.get(how, "TTT_EPOCHS")
    assert shown in ended.out and ended.out.count("x = 1\n") == 9


def test_without_code_around_nothing_is_warned_of(tmp_path):
    path = tmp_path / "train_gpt.py"
    path.write_bytes(packed("x = 1\n"))
    ended = run_measured("unpack", path)
    assert ended.code == 0 and ended.err == "" and "not of the wrapper" not in ended.out


@pytest.mark.parametrize("how", CHANGES)
def test_check_says_that_a_file_was_changed(smoke, how):
    assert difference(smoke.code, smoke) is None
    said = difference(changed(smoke.code, how), smoke)
    assert said and said.startswith("changed after it was packed: code that is not the wrapper's is in line")


def test_probes_and_reproduce_do_not_call_a_changed_file_ours(smoke, tmp_path):
    for code, ours in ((smoke.code, True), (changed(smoke.code, "appended"), False)):
        (tmp_path / "train_gpt.py").write_bytes(code)
        assert is_ours(tmp_path) == ours
        assert ("the program that this checkout packs" in _origin(code)) == ours


def test_a_changed_file_is_not_overwritten(smoke, tmp_path):
    path = tmp_path / "train_gpt.py"
    path.write_bytes(changed(smoke.code, "appended"))
    with pytest.raises(BadInput, match="was not made by `pgolf pack`"):
        write_packed(path, smoke)


def test_source_that_hides_behind_the_preludes_text_is_shown():
    """Taking that text out of it would join the line after it to the comment before it."""
    zlib = COMPRESSORS["zlib"]
    code = _script("pgolf 0.1 0", zlib, zlib.compress(f"# {PRELUDE}x = 2\n".encode()), False)
    assert unpack(code).endswith("\nx = 2\n")


def test_a_file_whose_wrapper_lacks_a_part_is_refused():
    with pytest.raises(BadInput, match=r"not a file that `pgolf pack` made$"):
        open_wrapped(packed("x = 1\n").partition(b"exec(")[0])
