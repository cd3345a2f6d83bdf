"""Datasets that cannot be used are refused with the file's name and the numbers that disagree."""

import json
import shutil

import numpy as np
import pytest

from pgolf.data.dataset import open_dataset
from pgolf.data.shards import write_shard
from pgolf.errors import BadInput
from pgolf.trainer.data import open_shard


@pytest.fixture
def copy(tiny_data, tmp_path):
    """A copy of the tiny dataset without its manifest: as someone else's data would be."""
    shutil.copytree(tiny_data.data_dir, tmp_path / "data")
    (tmp_path / "data" / "manifest.json").unlink()
    return tmp_path / "data"


def shard(data_dir, name):
    return next(data_dir.glob(f"datasets/*/fineweb_{name}.bin"))


def refused(data_dir, vocab_size):
    with pytest.raises(BadInput) as e:
        open_dataset(data_dir, vocab_size)
    return str(e.value)


def test_without_a_manifest_the_same_facts_are_found(copy, tiny_data):
    found = open_dataset(copy, tiny_data.vocab_size)
    for fact in ("val_sha256", "val_bytes", "val_tokens", "train_tokens", "documents", "files"):
        assert getattr(found, fact) == getattr(tiny_data, fact), fact


def test_a_shard_reads_back_as_written_and_leaves_no_temporary_file(tmp_path):
    tokens = np.array([1, 0, 65535, 256])
    write_shard(tmp_path / "a.bin", tokens)
    assert open_shard(tmp_path / "a.bin").tolist() == tokens.tolist()
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]
    with pytest.raises(ValueError, match="65536"):
        write_shard(tmp_path / "b.bin", np.array([65536]))


def test_missing_files(copy, tiny_data):
    assert "fineweb10B_sp777" in refused(copy, 777)
    tokenizer = next(copy.glob("tokenizers/*"))
    moved = tokenizer.rename(copy / "elsewhere")
    assert tokenizer.name in refused(copy, tiny_data.vocab_size)
    moved.rename(tokenizer)
    shard(copy, "val_000000").unlink()
    assert "fineweb_val_*.bin" in refused(copy, tiny_data.vocab_size)


def test_a_truncated_shard(copy, tiny_data):
    path = shard(copy, "train_000002")
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-6])
    message = refused(copy, tiny_data.vocab_size)
    assert path.name in message and str(size) in message and str(size - 6) in message


def test_a_wrong_magic_number(copy, tiny_data):
    path = shard(copy, "train_000002")
    path.write_bytes((20250101).to_bytes(4, "little") + path.read_bytes()[4:])
    message = refused(copy, tiny_data.vocab_size)
    assert path.name in message and "20250101" in message and "20240520" in message


def test_another_vocabulary(copy, tiny_data):
    path = shard(copy, "train_000005")
    write_shard(path, np.array([1, 5000] * 500))
    message = refused(copy, tiny_data.vocab_size)
    assert path.name in message and "5000" in message and str(tiny_data.vocab_size) in message
    tokenizer = next(copy.glob("tokenizers/*"))
    tokenizer.rename(tokenizer.with_name("fineweb_777_bpe.model"))
    (copy / f"datasets/fineweb10B_sp{tiny_data.vocab_size}").rename(copy / "datasets/fineweb10B_sp777")
    message = refused(copy, 777)
    assert "fineweb_777_bpe.model" in message and str(tiny_data.vocab_size) in message


def test_a_file_that_is_not_the_manifests(tiny_data, tmp_path):
    shutil.copytree(tiny_data.data_dir, tmp_path / "data")
    path = shard(tmp_path / "data", "train_000002")
    write_shard(path, open_shard(path)[::-1])
    assert path.name in refused(tmp_path / "data", tiny_data.vocab_size)
    (tmp_path / "data" / "manifest.json").write_text("[]")
    assert "manifest.json" in refused(tmp_path / "data", tiny_data.vocab_size)


@pytest.mark.parametrize(
    ("manifest", "hint"),
    [
        (None, "no manifest there says what made it"),
        ({"versions": {"numpy": "1"}}, "run `pgolf data pydocs` again"),
        ({"made_from": {}}, "run the `pgolf data tokenize` that made it again"),
        (
            {"fetched_from": {"repository": "someone/set", "revision": "abc", "variant": "sp512"}},
            "`pgolf data fineweb --repo someone/set --variant sp512 --revision abc --out {data}` again",
        ),
        ({"fetched_from": {"repository": "x`; rm -rf ~", "revision": 1}}, "--repo OWNER/NAME --variant VARIANT"),
    ],
)
def test_a_corrupt_shards_hint_names_what_made_the_dataset(copy, tiny_data, manifest, hint):
    if manifest:
        (copy / "manifest.json").write_text(json.dumps(manifest))
    path = shard(copy, "train_000002")
    path.write_bytes(path.read_bytes()[:-6])
    message = refused(copy, tiny_data.vocab_size)
    assert str(path) in message and hint.replace("{data}", str(copy)) in message
    assert "pydocs" not in message or "pydocs" in hint or "pydocs" in str(copy)


def test_a_folder_without_the_vocabulary_is_not_to_be_deleted(tiny_data):
    assert "delete" not in refused(tiny_data.data_dir, 777)
