"""The values of variables that a submission may print."""

import pytest

from pgolf.program import Program, Variable
from pgolf.program.environment import HIDDEN, published


def published_value(name: str, value: str, read: bool = True) -> str:
    known = {name: Variable(name, None, "t.py", 1)} if read else {}
    return published(Program("x", False, {}, "t.py", (), environment={name: value}, variables=known))[name]


@pytest.mark.parametrize(
    ("name", "value"),
    [("LR", "0.5"), ("TRAIN_BATCH_TOKENS", "524_288"), ("KEY_DIM", "64"), ("TOKENIZER", "bpe"), ("FILE", "a/b.x")],
)
def test_settings_are_published(name, value):
    assert published_value(name, value) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_TOKEN", "abc"),
        ("API_KEY", "123"),
        ("password", "4"),
        ("TOKENS", "abc"),
        ("CACHE", "/home/me/hf"),
        ("CACHE", "~/hf"),
        ("CACHE", "a:/home/me"),
        ("FLAGS", "-I/home/me"),
        ("CACHE", "C:\\me"),
    ],
)
def test_keys_and_absolute_paths_are_not(name, value):
    assert published_value(name, value) == HIDDEN


def test_only_what_the_source_or_torch_reads_is_published():
    assert published_value("OTHER", "1", read=False) == HIDDEN
    assert published_value("NCCL_NET", "Socket", read=False) == "Socket"
    assert published_value("NCCL_TOPO_FILE", "/home/me/topo.xml", read=False) == HIDDEN
