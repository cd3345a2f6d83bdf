"""Shards that do not show where documents begin are refused where that matters, or another token is named."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pgolf.artifact import check_mode, evaluate_artifact, in_folder, open_artifact
from pgolf.data import documents
from pgolf.data.dataset import check_documents, open_dataset
from pgolf.data.shards import write_shard
from pgolf.data.source import keep_document_start
from pgolf.errors import BadInput
from pgolf.legality import probe_artifact
from pgolf.train import exec_trainer
from pgolf.trainer.config import BOS, Config
from pgolf.trainer.data import open_shard

EOS = 2


@pytest.fixture
def copy(tiny_data, tmp_path) -> Path:
    """A copy of the tiny dataset without its manifest: as someone else's data would be."""
    shutil.copytree(tiny_data.data_dir, tmp_path / "data")
    (tmp_path / "data" / "manifest.json").unlink()
    return tmp_path / "data"


def without_bos(folder: Path, split: str, instead: int | None = None) -> None:
    """Take BOS out of a split's shards, or put another token there."""
    for path in sorted(folder.glob(f"datasets/*/fineweb_{split}_*.bin")):
        tokens = np.array(open_shard(path))
        write_shard(path, tokens[tokens != BOS] if instead is None else np.where(tokens == BOS, instead, tokens))


@pytest.mark.parametrize("split", ["val", "train"])
def test_a_split_without_bos_is_refused_by_its_file(copy, tiny_data, split):
    without_bos(copy, split)
    with pytest.raises(BadInput) as refused:
        open_dataset(copy, tiny_data.vocab_size)
    said = str(refused.value)
    assert f"fineweb_{split}_000000.bin" in said and "tokens is BOS (token 1), which begins a document" in said
    assert "pgolf data document-start FOLDER TOKEN" in said


def test_a_split_with_hardly_any_bos_is_refused(copy, tiny_data, monkeypatch):
    val = next(copy.glob("datasets/*/fineweb_val_000000.bin"))
    tokens = np.array(open_shard(val))
    write_shard(val, np.array([BOS, *tokens[tokens != BOS]]))
    assert open_dataset(copy, tiny_data.vocab_size).val_documents == 1  # may be a short book
    monkeypatch.setattr(documents, "MOST_DOCUMENT", len(tokens) // 2)
    with pytest.raises(BadInput, match=r"only 1 of [\d,]+ tokens are BOS"):
        open_dataset(copy, tiny_data.vocab_size)


def test_another_token_that_is_named_gives_the_same_documents(copy, tiny_data):
    for split in ("val", "train"):
        without_bos(copy, split, instead=EOS)
    with pytest.raises(BadInput, match="begins a document"):
        open_dataset(copy, tiny_data.vocab_size)
    with pytest.raises(BadInput, match=r"tokens is token 0, which"):
        keep_document_start(copy, 0)
    keep_document_start(copy, EOS)
    found = open_dataset(copy, tiny_data.vocab_size)
    assert found.document_start == json.loads((copy / "manifest.json").read_text())["document_start"] == EOS
    assert tiny_data.document_start == BOS
    for fact in ("documents", "val_documents", "val_documents_in_train", "val_bytes"):
        assert getattr(found, fact) == getattr(tiny_data, fact), fact


def test_the_named_token_finds_validation_documents_in_training(copy, tiny_data):
    val = next(copy.glob("datasets/*/fineweb_val_000000.bin"))
    write_shard(next(copy.glob("datasets/*/fineweb_train_000000.bin")), open_shard(val))
    for split in ("val", "train"):
        without_bos(copy, split, instead=EOS)
    with pytest.raises(BadInput, match="validation documents are training documents, too"):
        keep_document_start(copy, EOS)


def test_knobs_that_need_bos_refuse_another_token(tiny_data):
    named = replace(tiny_data, document_start=EOS)
    plain = Config(phased_ttt_enabled=True, ttt_enabled=False)  # no adaptation without TTT_ENABLED
    assert check_documents(named, plain) is named
    for knobs in (
        {"ttt_enabled": True, "phased_ttt_enabled": True},
        {"doc_attention_enabled": True},
        {"smear_gate_enabled": True},
    ):
        cfg = Config(**knobs)
        assert check_documents(tiny_data, cfg) is tiny_data
        with pytest.raises(BadInput, match=f"begin with token 2, and {list(knobs)[-1].upper()} needs token 1"):
            check_documents(named, cfg)


@pytest.mark.parametrize("value", ["x", True, -1, 10**9, 1.0, [1]])
def test_a_manifest_that_names_no_token_is_refused(copy, tiny_data, value):
    files = open_dataset(copy, tiny_data.vocab_size).files
    (copy / "manifest.json").write_text(json.dumps({"files": files, "input_hash": "x", "document_start": value}))
    with pytest.raises(BadInput, match=r"manifest\.json: document_start is"):
        open_dataset(copy, tiny_data.vocab_size)


def test_an_evaluation_that_needs_documents_is_refused_without_them(copy, tiny_data, tiny_artifact):
    opened = in_folder(open_artifact(tiny_artifact.path, tiny_artifact.knobs), copy)
    check_mode(opened.cfg, "phased")
    assert evaluate_artifact(opened, "fixed", limit=100).documents > 0
    without_bos(copy, "val")
    windows = evaluate_artifact(opened, "fixed", limit=100)  # they need no documents
    assert (windows.positions, windows.documents) == (100, 0)
    said = r"fineweb_val_000000\.bin: no document begins with token 1, BOS, and --mode phased needs to see"
    with pytest.raises(BadInput, match=said):
        evaluate_artifact(opened, "phased", limit=100)
    with pytest.raises(BadInput, match=said):
        probe_artifact(tiny_artifact.path, None, copy, tiny_artifact.knobs, modes=["phased"])
    with pytest.raises(BadInput, match="the artifact's SMEAR_GATE_ENABLED needs to see"):
        check_mode(replace(opened.cfg, smear_gate_enabled=True), "fixed")


def test_training_on_named_shards_without_documents_is_refused_where_they_matter(copy, tiny_data):
    for split in ("val", "train"):
        without_bos(copy, split)
    places = {"DATASETS_DIR": next(copy.glob("datasets/*")), "TOKENIZER_PATH": next(copy.glob("tokenizers/*"))}
    settings = [f"VOCAB_SIZE={tiny_data.vocab_size}", *(f"{name}={path}" for name, path in places.items())]
    with pytest.raises(BadInput, match="BOS, and DOC_ATTENTION_ENABLED needs to see where documents begin"):
        exec_trainer("smoke-base", [*settings, "DOC_ATTENTION_ENABLED=1"], 1, None, None)
