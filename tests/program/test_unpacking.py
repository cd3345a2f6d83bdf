"""Scripts that extract themselves, in the forms that people publish; none of them is run."""

import base64
import bz2
import dataclasses
import gzip
import lzma
import zlib

import brotli
import pytest

from pgolf.pack import pack
from pgolf.pack.wrapper import COMPRESSORS, wrap
from pgolf.program.source import read_source
from pgolf.trainer.config import KNOB_TYPES, Config

INNER = 'import os\nimport torch, regex\nseed = int(os.environ.get("SEED", 1337))\ncode = open(__file__).read()\n'
RAW = lzma.compress(INNER.encode(), format=lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 9}])


def b85(content: bytes) -> str:
    return base64.b85encode(content).decode()


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


XZ, ZLIB = lzma.compress(INNER.encode()), zlib.compress(INNER.encode())
TWICE = f'import zlib, base64\nexec(zlib.decompress(base64.b64decode("{b64(ZLIB)}")))'
RAW_LZMA = "import lzma as L,base64 as B\nexec(L.decompress(B.b85decode({!r}),{}))"
BROTLI = brotli.compress(INNER.encode())
BASE64 = "zlib in base 64"
BASE85 = "lzma in base 85"


def read(source: str | bytes, **others: bytes):
    return read_source(
        {"train_gpt.py": source if isinstance(source, bytes) else source.encode(), **others}, "train_gpt.py"
    )


@pytest.mark.parametrize(
    ("source", "packed"),
    [
        (RAW_LZMA.format(b85(RAW), 'format=L.FORMAT_RAW,filters=[{"id":L.FILTER_LZMA2}]'), BASE85),
        (RAW_LZMA.format(b85(RAW), "L.FORMAT_RAW,None,[dict(id=L.FILTER_LZMA2,preset=9)]"), BASE85),
        (f'exec(__import__("lzma").decompress(__import__("base64").b85decode(b"{b85(XZ)}")))', BASE85),
        (
            "from lzma import decompress as d\nfrom base64 import b85decode as b\n"
            f'exec(compile(d(b("{b85(XZ)}")).decode(), __file__, "exec"), globals())',
            BASE85,
        ),
        (
            f'import zlib,base64\ns="{b64(ZLIB)}"\ns=base64.b64decode(s)\ns=zlib.decompress(s)\nexec(s)',
            "zlib in base 64",
        ),
        (
            f'import brotli,base64\nexec(brotli.decompress(base64.b85decode("{b85(BROTLI)}")))',
            "brotli in base 85",
        ),
        (
            f'import lzma,base64\nexec(lzma.decompress(base64.b85decode("{b85(lzma.compress(TWICE.encode()))}")))',
            "lzma in base 85, then zlib in base 64",
        ),
        (
            "import lzma,base64\nexec(lzma.decompress(base64.b85decode("
            f'open(__file__).read().split("#DATA" + ":")[1])))\n#DATA:{b85(XZ)}',
            BASE85,
        ),
        (
            "import zlib,base64\ndef load(s): return zlib.decompress(base64.b64decode(s)).decode()\n"
            f'exec(load("{b64(ZLIB)}"))',
            "zlib in base 64",
        ),
        (
            "import gzip,base64,io\n"
            f'exec(gzip.open(io.BytesIO(base64.b64decode("{b64(gzip.compress(INNER.encode()))}"))).read())',
            "gzip in base 64",
        ),
        (f"import bz2\nexec(bz2.decompress({bz2.compress(INNER.encode())!r}))", "bz2"),
        (
            f'import zlib,base64\nopen("t.py","wb").write(zlib.decompress(base64.b64decode("{b64(ZLIB)}")))',
            "zlib in base 64",
        ),
    ],
    ids=range(12),
)
def test_what_is_inside_is_read(source, packed):
    found = read(source)
    assert found.packed == packed and found.unclear == ()
    assert found.variables["SEED"].default == "1337" and found.variables["SEED"].file.startswith(
        "train_gpt.py (unpacked)"
    )
    assert "regex" in [need.name for need in found.modules]


def test_what_unpacks_it_is_needed_too():
    found = read(f'import brotli,base64\nexec(brotli.decompress(base64.b64decode("{b64(brotli.compress(b"x=1"))}")))')
    assert [(need.name, need.line) for need in found.modules] == [("brotli", 1)]


def test_the_packed_part_may_be_a_file_beside_it():
    source = "import lzma\nwith open('code.xz', 'rb') as f: c = f.read()\nexec(lzma.decompress(c))"
    found = read(source, **{"code.xz": XZ})
    assert found.packed == "lzma" and found.own == ("code.xz",) and "SEED" in found.variables


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("compressor", COMPRESSORS.values(), ids=COMPRESSORS)
def test_files_that_pgolf_packed(compressor, ascii_only):
    found = read(wrap(INNER, "label", compressor, ascii_only))
    assert found.packed == compressor.name + " in base 85" * ascii_only
    assert found.variables["SEED"].default == "1337" and found.unclear == ()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import marshal\nexec(marshal.loads(b'abc'))", "train_gpt.py:2 runs code that it makes when it runs"),
        ("import sys\nexec(open(sys.argv[1]).read())", "train_gpt.py:2 runs code that it makes when it runs"),
        (f"import zlib\nexec(zlib.decompress({zlib.compress(bytes(17 << 20))!r}))", "train_gpt.py:2 runs code that"),
        (f"import bz2\nexec(bz2.decompress({bz2.compress(bytes(17 << 20))!r}))", "train_gpt.py:2 runs code that"),
        (
            f"import brotli\nexec(brotli.decompress({brotli.compress(bytes(17 << 20))!r}))",
            "train_gpt.py:2 runs code that",
        ),
        (f"import lzma\nexec(lzma.decompress({lzma.compress(bytes(17 << 20))!r}))", "train_gpt.py:2 runs code that"),
        (f"import zlib\nexec(zlib.decompress({zlib.compress(b'if')!r}))", "runs code that is not Python"),
        ("import zlib\nexec(zlib.decompress(b'no zlib'))", "train_gpt.py:2 runs code that it makes when it runs"),
    ],
    ids=range(8),
)
def test_what_cannot_be_unpacked_is_said_with_its_line(source, said):
    found = read(source)
    assert len(found.unclear) == 1 and said in found.unclear[0] and found.packed is None


def test_the_knobs_of_pgolfs_own_trainer():
    found = read(pack().code)
    assert found.unclear == () and set(found.prints) >= {
        "step",
        "seed",
        "size",
        "time",
        "final score",
        "hyperparameters",
    }
    left_out = {"run_id", "cpu_kernels"}  # a new one each time; switched off by packing
    kept = [f for f in dataclasses.fields(Config) if f.name.upper() in found.variables and f.name not in left_out]
    assert len(kept) > 70  # packing leaves out the knobs of mechanisms that are off
    for field in kept:
        text, kind = found.variables[field.name.upper()].default, KNOB_TYPES[field.name]
        assert text is not None and kind(int(text) if kind is bool else text) == field.default, field.name


def test_nothing_is_run(tmp_path):
    mark = tmp_path / "ran"
    inner = f"open({str(mark)!r}, 'w').write('x')\n"
    read(f'import zlib\nexec(zlib.decompress({zlib.compress(inner.encode())!r}))\nexec("{inner.strip()}")\n{inner}')
    assert not mark.exists()


def test_layers_without_end():
    source = INNER
    for _ in range(12):
        source = f"import zlib\nexec(zlib.decompress({zlib.compress(source.encode())!r}))"
    assert any("more layers" in sentence for sentence in read(source).unclear)
