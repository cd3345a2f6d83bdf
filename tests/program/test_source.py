"""Sources as people write them, read and never run."""

import pytest

from pgolf.errors import BadInput
from pgolf.program.source import Reading, read_source


def read(source: str, /, **others: str) -> Reading:
    files = {"train_gpt.py": source.encode()}
    return read_source({**files, **{name: text.encode() for name, text in others.items()}}, "train_gpt.py")


def defaults(source: str) -> dict[str, str | None]:
    return {name: variable.default for name, variable in read(source).variables.items()}


BASELINE = """
import os
import uuid
class Hyperparameters:
    data_path = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp1024")
    train_files = os.path.join(data_path, "fineweb_train_*.bin")
    run_id = os.environ.get("RUN_ID", str(uuid.uuid4()))
    seed = int(os.environ.get("SEED", 1337))
    vocab_size = int(os.environ.get("VOCAB_SIZE", 1024))
    tokenizer_path = os.environ.get("TOKENIZER_PATH", f"./data/tokenizers/fineweb_{vocab_size}_bpe.model")
    tie_embeddings = bool(int(os.environ.get("TIE_EMBEDDINGS", "1")))
    train_batch_tokens = int(os.environ.get("TRAIN_BATCH_TOKENS", 524_288))
"""


def test_hyperparameters_in_a_class():
    assert defaults(BASELINE) == {
        "DATA_PATH": "./data/datasets/fineweb10B_sp1024",
        "RUN_ID": None,
        "SEED": "1337",
        "TIE_EMBEDDINGS": "1",
        "TOKENIZER_PATH": "./data/tokenizers/fineweb_1024_bpe.model",
        "TRAIN_BATCH_TOKENS": "524288",
        "VOCAB_SIZE": "1024",
    }


def test_a_script_that_is_not_python_is_refused_with_its_line():
    with pytest.raises(BadInput, match=r"train_gpt.py:2 is not Python"):
        read("import os\nif\n")
