"""Trained tokenizers: every text comes back, symbols are pieces, the report is what a plain count gives."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import sentencepiece

from pgolf.data.tokenizer import train_on_corpus
from pgolf.errors import BadInput

TEXTS = [f"The {i} quick brown foxes jump over lazy dog number {i * i}, and again. " * 8 for i in range(200)]


@pytest.fixture
def docs(tmp_path):
    path = tmp_path / "docs.jsonl"
    held_out = ["Held out: ☃ the brown dog", "and the fox"]
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in (*held_out, *TEXTS)))
    return path


def test_report_and_model(docs, tmp_path):
    trained = train_on_corpus([str(docs)], tmp_path / "t.model", 400, val_docs=2, symbols=["\ue001", "<sep>"])
    sp = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "t.model"))
    assert sp.vocab_size() == 400 and sp.is_byte(sp.piece_to_id("<0x41>"))
    for text in ("☃ \n\t  x", "Ünïcode ﬁ", " leading and trailing "):
        assert sp.decode(sp.encode(text)) == text
    assert "<sep>" in sp.encode("a<sep>b", out_type=str)
    held_out = [json.loads(line)["text"] for line in docs.read_text().splitlines()[:2]]
    ids = [i for text in held_out for i in sp.encode(text)]
    assert trained.held_out and trained.trained_on_documents == 200
    assert trained.bytes_per_token == sum(len(t.encode()) for t in held_out) / len(ids)
    assert trained.byte_tokens == sum(sp.is_byte(i) for i in ids)
    assert "<0xE2>" in sp.encode("☃", out_type=str), "the snowman was held out, so it has no piece"
    ordinary = {i for i in range(400) if not (sp.is_control(i) or sp.is_unknown(i) or sp.is_byte(i))}
    assert trained.unused_pieces == len(ordinary - set(ids))


def test_a_sample_is_the_same_every_time_and_about_as_large_as_asked(docs, tmp_path):
    size = sum(len(t.encode()) for t in TEXTS)
    made = [
        train_on_corpus([str(docs)], tmp_path / f"{n}.model", 330, val_docs=2, sample_bytes=size // 4) for n in range(2)
    ]
    assert made[0].sha256 == made[1].sha256
    assert 0.1 * size < made[0].trained_on_bytes < 0.45 * size


def test_too_little_text(docs, tmp_path):
    with pytest.raises(BadInput, match="no vocabulary of 30000"):
        train_on_corpus([str(docs)], tmp_path / "t.model", 30000, val_docs=2)
    with pytest.raises(BadInput, match="leaves none to learn from"):
        train_on_corpus([str(docs)], tmp_path / "t.model", 400, val_docs=500)
    with pytest.raises(BadInput, match="is a folder"):
        train_on_corpus([str(docs)], tmp_path, 400, val_docs=2)
    assert not (tmp_path / "t.model").exists()


def test_the_command(docs, tmp_path):
    command = [str(Path(sys.executable).with_name("pgolf")), "data", "train-tokenizer", "--docs", str(docs)]
    command += ["--out", str(tmp_path / "t.model"), "--vocab", "400", "--val-docs", "2"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["vocab_size"] == 400
