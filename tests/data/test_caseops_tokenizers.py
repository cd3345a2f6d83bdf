"""Tokenizers of CaseOps text: told by their pieces, and never counted with without side-cars."""

import json
from pathlib import Path

import pytest
from sentencepiece import SentencePieceProcessor

from pgolf.artifact import token_bytes
from pgolf.data import caseops
from pgolf.data.dataset import Dataset, check_named, open_dataset
from pgolf.data.tokenize import tokenize
from pgolf.data.tokenizer import CASEOPS, train_tokenizer
from pgolf.errors import BadInput
from pgolf.train import exec_trainer
from pgolf.trainer.config import Config


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [path.read_text() for path in sorted(Path(__file__).parents[2].glob("pgolf/*/*.py"))]


@pytest.mark.parametrize("size", [450, 1500])
def test_a_tokenizer_of_transformed_text_is_told_from_one_that_has_the_characters(texts, size, tmp_path):
    operators = list(caseops.OPERATORS)
    made = {
        "transformed": train_tokenizer(
            [caseops.encode(t) for t in texts], size, **CASEOPS, user_defined_symbols=operators
        ),
        "and a symbol": train_tokenizer(
            [caseops.encode(t) for t in texts], size, **CASEOPS, user_defined_symbols=[*operators, "URL"]
        ),
        "plain": train_tokenizer(texts, size, user_defined_symbols=operators),
        "one character": train_tokenizer([caseops.encode(t) for t in texts], size, user_defined_symbols=operators[:1]),
    }
    told = {name: caseops.is_caseops(SentencePieceProcessor(model_proto=model)) for name, model in made.items()}
    assert told == {"transformed": True, "and a symbol": True, "plain": False, "one character": False}


@pytest.fixture(scope="module")
def without_side_cars(texts, tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("case")
    (folder / "docs.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    (folder / "case.model").write_bytes(
        train_tokenizer(
            [caseops.encode(t) for t in texts], 600, **CASEOPS, user_defined_symbols=list(caseops.OPERATORS)
        )
    )
    docs = [str(folder / "docs.jsonl")]
    with pytest.raises(BadInput, match="give --caseops, too"):
        tokenize(docs, folder / "case.model", folder / "made", val_docs=30)
    made = tokenize(docs, folder / "case.model", folder / "made", val_docs=30, case=True, workers=1)
    for path in made.data_dir.glob("datasets/*/*_bytes_*"):
        path.unlink()
    return made


def test_operators_are_never_counted_without_side_cars(without_side_cars):
    """Wherever bytes are counted: when a dataset is opened, when training starts, in an evaluation and in probes."""
    said = "has CaseOps' operators as pieces: without side-cars each operator would count as three bytes"
    folder, cfg = without_side_cars.data_dir, Config(data_dir=str(without_side_cars.data_dir), vocab_size=600)
    for count in (
        lambda: open_dataset(folder, 600),
        lambda: token_bytes(cfg),
        lambda: check_named(cfg),
        lambda: exec_trainer("smoke", ["VOCAB_SIZE=600"], 1, None, folder),
        lambda: exec_trainer(
            "smoke",
            ["VOCAB_SIZE=600", f"DATASETS_DIR={cfg.datasets_dir}", f"TOKENIZER_PATH={cfg.tokenizer_path}"],
            1,
            None,
            None,
        ),
    ):
        with pytest.raises(BadInput, match=said) as refused:
            count()
        assert "fineweb_val_bytes_000000.bin: missing" in str(refused.value)
