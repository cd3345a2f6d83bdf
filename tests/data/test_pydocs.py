"""The corpus: what is taken from a package, what the shards hold, that builds repeat and survive a kill."""

import subprocess
import sys

import numpy as np
import pytest
import sentencepiece

from pgolf.data.dataset import open_dataset
from pgolf.data.pydocs import build, find_sources, read_documents
from pgolf.errors import BadInput
from pgolf.trainer.data import open_shard

PACKAGES = ("argparse", "email", "statistics", "typing", "_pydecimal")
VOCAB = 400
LONG = "Résumé of a function. " * 30


def read(sources):
    return read_documents(sources, lambda what, done, total: None)


@pytest.fixture
def small(tmp_path):
    return build(tmp_path / "cache", packages=PACKAGES, vocab_size=VOCAB)


def test_docstrings_are_parsed_filtered_and_ordered_by_content(tmp_path):
    source = tmp_path / "package.py"
    source.write_text(
        f'"""{LONG}module"""\nraise SystemExit("imported")\n'
        f'class C:\n    """{LONG}class"""\n    async def f(self):\n        """{LONG}method"""\n'
        f'def twin():\n    """{LONG}class"""\ndef short():\n    """Too short."""\n'
        f'def sign():\n    """{LONG}\\u2581"""\ndef lone():\n    """{LONG}\\ud800"""\n'
        f'x = """{LONG}no docstring"""\n'
    )
    broken = tmp_path / "broken.py"
    broken.write_text(f'"""{LONG}"""\nprint "python 2"\n')
    documents = read({"a": source, "b": broken})
    assert sorted(text.removeprefix(LONG) for text in documents) == ["class", "method", "module"]
    assert documents == read({"b": broken, "z": source, "a": source}), "order must not depend on the files' names"


def test_docstrings_are_found_wherever_a_definition_may_stand(tmp_path):
    holders = {
        "if": "if x:\n    pass\nelse:\n    {}",
        "elif": "if x:\n    pass\n" + "elif x:\n    pass\n" * 2000 + "elif x:\n    {}",
        "try": "try:\n    pass\nexcept E:\n    pass\nfinally:\n    {}",
        "handler": "try:\n    pass\nexcept E:\n    {}",
        "for": "for i in x:\n    pass\nelse:\n    {}",
        "with": "async def g():\n    async with x:\n        {}",
        "match": "match x:\n    case _:\n        {}",
        "lambda": "f = lambda: x\nwhile f():\n    {}",
    }
    for where, text in holders.items():
        (tmp_path / f"{where}.py").write_text(text.format(f'def f(): """{LONG}{where}"""') + "\n")
    documents = read({path.name: path for path in tmp_path.iterdir()})
    assert sorted(text.removeprefix(LONG) for text in documents) == sorted(holders)


def test_sources_are_found_without_importing():
    code = (
        "import sys; from pgolf.data.pydocs import find_sources\n"
        "print(len(find_sources(['scipy'])), 'scipy' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert int(out[0]) > 500 and out[1] == "False"
    with pytest.raises(BadInput, match="no_such_package"):
        find_sources(["no_such_package"])


def test_tokens_give_back_the_text_and_its_byte_count(small):
    sp = sentencepiece.SentencePieceProcessor(model_file=str(small.data_dir / f"tokenizers/fineweb_{VOCAB}_bpe.model"))
    documents = read(find_sources(PACKAGES))
    folder = small.data_dir / f"datasets/fineweb10B_sp{VOCAB}"
    shards = [folder / "fineweb_val_000000.bin", *sorted(folder.glob("fineweb_train_*.bin"))]
    assert [p.name for p in shards[1:]] == [f"fineweb_train_{i:06}.bin" for i in range(8)]
    stream = np.concatenate([open_shard(p) for p in shards]).tolist()
    starts = [i for i, token in enumerate(stream) if token == sp.bos_id()]
    assert [sp.decode(stream[a:b]) for a, b in zip(starts, [*starts[1:], None], strict=True)] == documents
    assert small.val_bytes == sum(len(text.encode()) for text in documents[: len(documents) // 20])
    assert small.documents == len(documents)
    assert all(open_shard(p)[0] == sp.bos_id() for p in shards), "documents are never cut by a shard"


def test_building_twice_gives_the_same_bytes_and_a_third_time_nothing_is_built(small, tmp_path):
    again = build(tmp_path / "elsewhere", packages=PACKAGES, vocab_size=VOCAB)
    assert again.files == small.files and not again.reused
    assert (again.data_dir / "manifest.json").read_bytes() == (small.data_dir / "manifest.json").read_bytes()
    built = {p: p.stat().st_mtime_ns for p in small.data_dir.rglob("*")}
    third = build(tmp_path / "cache", packages=PACKAGES, vocab_size=VOCAB)
    assert third.reused and (third.files, third.input_hash) == (small.files, small.input_hash)
    assert {p: p.stat().st_mtime_ns for p in small.data_dir.rglob("*")} == built


def test_a_damaged_build_is_built_anew(small, tmp_path):
    shard = small.data_dir / f"datasets/fineweb10B_sp{VOCAB}/fineweb_train_000003.bin"
    damaged = bytearray(shard.read_bytes())
    damaged[-2] ^= 1
    shard.write_bytes(damaged)
    assert build(tmp_path / "cache", packages=PACKAGES, vocab_size=VOCAB).reused is False
    assert open_dataset(small.data_dir, VOCAB).files == small.files


def test_killed_while_building_leaves_no_dataset_and_the_next_build_succeeds(small, tmp_path):
    code = (
        "import sys, time; from pathlib import Path; import pgolf.data.pydocs as p\n"
        "def stop(what, done, total):\n"
        "    if what == 'tokenizing' and done == 4: print('here', flush=True); time.sleep(60)\n"
        f"p.build(Path(sys.argv[1]), stop, packages={PACKAGES!r}, vocab_size={VOCAB})"
    )
    cache = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", code, str(cache)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"here\n"
    process.kill()
    process.wait()
    process.stdout.close()
    assert [p.name for p in cache.iterdir() if not p.name.startswith(".")] == []
    again = build(cache, packages=PACKAGES, vocab_size=VOCAB)
    assert not again.reused and again.files == small.files
    assert [p.name for p in cache.iterdir() if p.is_dir()] == [again.data_dir.name]


def test_too_little_text_is_bad_input_and_leaves_nothing(tmp_path):
    with pytest.raises(BadInput, match="vocabulary of 30000"):
        build(tmp_path, packages=("argparse", "email", "typing"), vocab_size=30000)
    assert [p.name for p in tmp_path.iterdir() if p.is_dir()] == []
