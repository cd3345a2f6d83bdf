"""`pgolf unpack` on scripts of others: the source that they hold is printed, and never run."""

import ast
import base64
import bz2
import gzip
import lzma
import os
import zlib

import brotli
import pytest

from pgolf.errors import BadInput
from pgolf.program.extracted import check_script, extracted

INNER = "# the seed\nimport os\nseed = int(os.environ.get('SEED', 1337))\nprint('ä', seed)\n"
PACKERS = {"lzma": lzma.compress, "zlib": zlib.compress, "gzip": gzip.compress, "bz2": bz2.compress}
PACKERS["brotli"] = brotli.compress


def b85(content: bytes) -> str:
    return base64.b85encode(content).decode()


def wrapper(name: str, source: str) -> str:
    return f'import {name},base64\nexec({name}.decompress(base64.b85decode("{b85(PACKERS[name](source.encode()))}")))\n'


def unpack(folder, content: str | bytes) -> str:
    path = folder / "train_gpt.py"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return extracted(path)


@pytest.mark.parametrize("name", PACKERS)
def test_the_source_is_printed_as_it_is(tmp_path, name):
    assert unpack(tmp_path, wrapper(name, INNER)) == f"# train_gpt.py:2: {name} in base 85\n{INNER}"


def test_the_form_in_which_most_public_scripts_come(tmp_path):
    raw = lzma.compress(INNER.encode(), lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 9}])
    source = (
        f'import lzma as L,base64 as B\nexec(L.decompress(B.b85decode("{b85(raw)}"),format=L.FORMAT_RAW,'
        'filters=[{"id":L.FILTER_LZMA2}]))'
    )
    assert unpack(tmp_path, source) == f"# train_gpt.py:2: lzma in base 85\n{INNER}"


def test_each_layer_is_printed_once_with_its_line(tmp_path):
    text = unpack(tmp_path, "x = 1\n" + wrapper("lzma", "y = 2\n" + wrapper("zlib", INNER)))
    assert text.count("# the seed") == 1 and text.endswith(INNER)
    headings = [line for line in text.splitlines() if line.startswith("# train_gpt.py")]
    assert headings == ["# train_gpt.py:3: lzma in base 85", "# train_gpt.py (unpacked):3: zlib in base 85"]


def test_layers_without_end_are_bounded(tmp_path):
    source = INNER
    for _ in range(20):
        source = wrapper("zlib", source)
    assert unpack(tmp_path, source).count(": zlib in base 85\n") == 8


def test_a_payload_in_a_file_beside_it(tmp_path):
    (tmp_path / "code.xz").write_bytes(lzma.compress(INNER.encode()))
    assert unpack(tmp_path, "import lzma\nexec(lzma.decompress(open('code.xz','rb').read()))").endswith(INNER)


@pytest.mark.parametrize("kind", ["link", "pipe", "hole"])
def test_a_payload_that_is_no_plain_file_of_the_folder_is_not_read(tmp_path, kind):
    inside, payload = tmp_path / "inside", tmp_path / "code.xz"
    inside.mkdir()
    payload.write_bytes(lzma.compress(INNER.encode()))
    if kind == "link":
        (inside / "code.xz").symlink_to(payload)
    elif kind == "pipe":
        os.mkfifo(inside / "code.xz")
    else:
        with (inside / "code.xz").open("wb") as f:
            f.truncate(2 << 30)
    with pytest.raises(BadInput, match=r"train_gpt\.py:2 runs code that it makes when it runs"):
        unpack(inside, "import lzma\nexec(lzma.decompress(open('code.xz','rb').read()))")


def test_a_string_is_decoded_even_where_its_use_cannot_be_followed(tmp_path):
    source = f's="{b85(lzma.compress(INNER.encode() * 9))}"\nfor step in steps: s=step(s)\nexec(s)\n'
    text = unpack(tmp_path, source)
    assert "# train_gpt.py:3 runs code that it makes when it runs; that code is not read\n" in text
    assert "decoded from a string, whose use could not be followed" in text and text.endswith(INNER * 9)


def test_no_control_code_is_printed_and_the_program_stays_the_same(tmp_path):
    hostile = "\x1b]0;owned\x07\u202e\x9b"
    text = unpack(tmp_path, wrapper("lzma", f"# {hostile}\ny = '{hostile}'\n"))
    assert all(c.isprintable() or c == "\n" for c in text)
    assert ast.literal_eval(ast.parse(text).body[0].value) == hostile  # type: ignore[attr-defined]


def test_nothing_is_run(tmp_path):
    mark = tmp_path / "ran"
    unpack(tmp_path, wrapper("lzma", f"open({str(mark)!r}, 'w')\n"))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["train_gpt.py", "other.py"], "a folder, and a script is wanted: give .*/train_gpt.py$"),
        (["train.py", "README.md"], "give .*/train.py$"),
        (["a.py", "b.py"], "give the one to unpack$"),
        ([], "none is in it$"),
    ],
    ids=range(4),
)
def test_a_folder_is_refused_and_the_script_in_it_named(tmp_path, names, said):
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(BadInput, match=said):
        check_script(tmp_path)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("print(1)\n", "train_gpt.py: extracts nothing that can be read"),
        ("import marshal\nexec(marshal.loads(b'abc'))", "train_gpt.py:2 runs code that it makes when it runs"),
        ("def f(:\n", "train_gpt.py:1: is not Python"),
        (b"\x89PNG\0\0", "train_gpt.py:1: is not UTF-8 text"),
    ],
    ids=range(4),
)
def test_a_script_without_anything_to_read_is_refused(tmp_path, source, said):
    with pytest.raises(BadInput, match=said):
        unpack(tmp_path, source)
