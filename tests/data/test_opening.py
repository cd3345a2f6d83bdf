"""Tokenizers and shards that mean harm: one line, little memory, and no waiting."""

import os
import random
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from measured import run_measured

from pgolf.artifact import in_folder, load_tokens, open_artifact, token_bytes
from pgolf.data import opening
from pgolf.data.dataset import open_dataset
from pgolf.data.opening import MOST_SHARD, MOST_TOKENIZER, count_bytes, open_tokenizer, open_tokens
from pgolf.data.shards import write_shard
from pgolf.errors import BadInput
from pgolf.trainer.config import Config
from pgolf.trainer.data import DataError
from pgolf.trainer.token_bytes import TokenBytes
from pgolf.untrusted import Untrusted


def field(number: int, content: bytes | int) -> bytes:
    """A field of a protobuf message."""

    def varint(n: int) -> bytes:
        return bytes([n & 127 | 128 * (n > 127)]) + (varint(n >> 7) if n > 127 else b"")

    kind = 0 if isinstance(content, int) else 2
    return varint(number << 3 | kind) + (
        varint(content) if isinstance(content, int) else varint(len(content)) + content
    )


def piece(text: bytes, kind: int = 1) -> bytes:
    return field(1, field(1, text) + struct.pack("<Bf", 2 << 3 | 5, 0.0) + field(3, kind))


BYTES = [piece(b"<0x%02X>" % i, 6) for i in range(256)]
PIECES = [piece(b"<unk>", 2), piece(b"<s>", 3), piece(b"</s>", 3), *BYTES, piece("▁".encode())]


def model(*pieces: bytes, trainer: bytes = b"", normaliser: bytes = b"") -> bytes:
    """A SentencePiece model of these pieces beside the usual ones."""
    return b"".join([*PIECES, *pieces, field(2, field(3, 2) + field(35, 1) + trainer), field(3, normaliser)])


def test_a_model_that_is_whole_is_opened(tmp_path, tiny_data):
    (tmp_path / "a.model").write_bytes(model(piece(b"ab")))
    assert open_tokenizer(tmp_path / "a.model").vocab_size() == 261
    assert open_tokenizer(tiny_data.data_dir / "tokenizers/fineweb_512_bpe.model").vocab_size() == 512


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a SentencePiece model"),
        (b"\x1b[31m no model", "not a SentencePiece model"),
        (model()[:-30], "not a SentencePiece model"),
        (model(piece(b"\xff\xfe")), "not a SentencePiece model"),
        (model(normaliser=field(2, struct.pack("<I", 1 << 30) + b"x" * 9)), "not a SentencePiece model"),
        (model(normaliser=field(2, struct.pack("<I", 1024) + b"\xff\xff\xff\x7f" * 256)), "not a SentencePiece model"),
        (model(piece(b"a" * 2000)), "of 2,000 bytes"),
        (model(trainer=field(44, b"u" * 2000)), "of 2,000 bytes"),  # what an unknown token is decoded to
        (model(*(piece(b"p%d" % i) for i in range(70_000))), "70,260 pieces"),
    ],
    ids=range(9),
)
def test_a_model_that_means_harm_is_refused_in_one_line(content, reason, tmp_path):
    (tmp_path / "a.model").write_bytes(content)
    with pytest.raises(Untrusted, match=reason) as refused:
        open_tokenizer(tmp_path / "a.model")
    assert str(refused.value).isprintable()


def test_mutated_models_are_opened_or_refused(tmp_path, tiny_data):
    """In a process of its own, since the library is C++: none may end it, or take gigabytes."""
    script = f"""
import random, sys
from pathlib import Path
from pgolf.data.opening import open_tokenizer
from pgolf.untrusted import Untrusted
whole = Path({str(tiny_data.data_dir / "tokenizers/fineweb_512_bpe.model")!r}).read_bytes()
path, refused = Path({str(tmp_path / "mutated.model")!r}), 0
for i in range(300):
    r, b = random.Random(i), bytearray(whole)
    for _ in range(r.randrange(1, 4)):
        at = r.randrange(len(b) - 400 if i % 2 else 0, len(b))
        match r.randrange(4):
            case 0: b[at] = r.randrange(256)
            case 1: del b[at : at + r.randrange(1, 20)]
            case 2: b[at:at] = r.randbytes(r.randrange(1, 9))
            case 3: b[at : at + 5] = b"\\xff\\xff\\xff\\xff\\x0f"
    path.write_bytes(b)
    try:
        sp = open_tokenizer(path)
        sp.decode(sp.encode("Größe \\u4e16  a\\n")), sp.decode([[*range(sp.vocab_size())]])
    except Untrusted:
        refused += 1
print(refused)
"""
    ended = run_measured("-c", script)
    assert ended.code == 0, ended.err[-500:]
    assert 50 < int(ended.out) < 300
    assert ended.peak < 600 << 20  # of which torch has most


def test_no_pipe_is_waited_for_and_no_large_file_is_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, size in (("large", MOST_TOKENIZER + 1), ("shard", 2 * MOST_SHARD + 5000), ("tokens", 200 << 30)):
        with (tmp_path / name).open("wb") as f:
            f.truncate(size)
    for name, opened, reason in (
        ("pipe", open_tokenizer, "a pipe"),
        ("", open_tokenizer, "a folder"),
        ("large", open_tokenizer, "over"),
        ("pipe", open_tokens, "a pipe"),
        ("", open_tokens, "a folder"),
        ("shard", open_tokens, "is not read"),
        ("tokens", open_tokens, "is not read"),
    ):
        with pytest.raises(Untrusted, match=reason):
            opened(tmp_path / name)


@pytest.mark.parametrize("count", [-1, 0, 5, 2**31 - 1, -(2**31)])
def test_a_shard_whose_header_lies_is_refused(count, tmp_path):
    write_shard(path := tmp_path / "shard.bin", np.arange(9))
    content = bytearray(path.read_bytes())
    content[8:12] = struct.pack("<i", count)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"header promises"):
        open_tokens(path)


@pytest.fixture
def data(tmp_path: Path) -> Config:
    """A dataset of made-up tokens and the model above."""
    cfg = Config(data_dir=str(tmp_path), vocab_size=261)
    Path(cfg.tokenizer_path).parent.mkdir()
    Path(cfg.tokenizer_path).write_bytes(model(piece(b"a" * 500)))
    for split in ("train", "val"):
        write_shard(Path(cfg.datasets_dir) / f"fineweb_{split}_000000.bin", np.array([1, 100, 101, 1, 102, 103]))
    return cfg


def test_text_that_is_far_longer_than_its_tokens_is_not_decoded(data):
    """500 bytes a token: of 100 million tokens that would be 50 GB."""
    write_shard(Path(data.datasets_dir) / "fineweb_val_000000.bin", np.full(1000, 260))
    with pytest.raises(BadInput, match="over 64 each"):
        open_dataset(Path(data.data_dir), 261)


def test_a_dataset_with_a_hostile_file_is_refused(data, monkeypatch):
    folder, tokenizer = Path(data.datasets_dir), Path(data.tokenizer_path)
    for path, reason in (
        (tokenizer, "not a SentencePiece model"),
        (folder / "fineweb_val_000000.bin", "no shard header"),
        (folder / "fineweb_train_000000.bin", "no shard header"),
    ):
        content = path.read_bytes()
        path.write_bytes(b"\x1b[31m")
        with pytest.raises(BadInput, match=reason):
            open_dataset(Path(data.data_dir), 261)
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(BadInput, match=r"a pipe"):
            open_dataset(Path(data.data_dir), 261)
        path.unlink()
        path.write_bytes(content)
    monkeypatch.setattr(opening, "MOST_VALIDATION", 5)
    with pytest.raises(BadInput, match="6 validation tokens; over 5 are not read"):
        open_dataset(Path(data.data_dir), 261)


def test_eval_reads_no_hostile_dataset(tiny_artifact, tiny_data, tmp_path):
    artifact = in_folder(open_artifact(tiny_artifact.path, tiny_artifact.knobs), tiny_data.data_dir)
    os.mkfifo(tmp_path / "fineweb_val_000000.bin")
    (tmp_path / "bad.model").write_bytes(random.Random(0).randbytes(999))
    with pytest.raises(BadInput, match="a pipe"):
        load_tokens(replace(artifact.cfg, datasets_dir=str(tmp_path)))
    with pytest.raises(BadInput, match="a pipe"):
        load_tokens(replace(artifact.cfg, datasets_dir=str(tmp_path)), limit=5)
    with pytest.raises(BadInput, match="not a SentencePiece model"):
        token_bytes(replace(artifact.cfg, tokenizer_path=str(tmp_path / "bad.model")))


def test_bytes_are_those_that_the_trainer_counts(tiny_artifact, tiny_data):
    cfg = in_folder(open_artifact(tiny_artifact.path, tiny_artifact.knobs), tiny_data.data_dir).cfg
    tokens = load_tokens(cfg, limit=2000)
    assert count_bytes(TokenBytes(cfg), tokens) == TokenBytes(cfg).check(tokens)[0]
