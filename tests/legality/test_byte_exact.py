"""Byte counts over a whole vocabulary: an evaluator that is one byte off for one piece, in one place, is told."""

import shutil
from pathlib import Path

import pytest
import sentencepiece as spm
import torch

from pgolf.data.caseops import OPERATORS, encode
from pgolf.data.tokenizer import CASEOPS, train_tokenizer
from pgolf.errors import RunFailed
from pgolf.legality import load_factory
from pgolf.legality.byte_exact import byte_exact
from pgolf.legality.subject import Subject, subject_of
from pgolf.trainer.config import Config
from pgolf.trainer.token_bytes import TokenBytes

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "probes" / "bad"
TEXTS = [
    path.read_text() for path in sorted(Path(__file__).parents[2].glob("pgolf/*/*.py"))
]  # names, spaces, lines: text enough
V = 600


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "600.model"
    path.write_bytes(train_tokenizer(TEXTS, V))
    return path


@pytest.fixture
def counter(tokenizer) -> TokenBytes:
    return TokenBytes(Config(tokenizer_path=str(tokenizer), vocab_size=V))


def subject(tokenizer: Path, byte_counts, text: torch.Tensor | None = None, vocab_size: int = V) -> Subject:
    return Subject("an evaluator", None, None, vocab_size, text, tokenizer, byte_counts)


def test_right_counts_pass_and_the_result_says_how_many_pieces(tokenizer, counter):
    result = byte_exact(subject(tokenizer, counter.count))
    assert result.passed and result.counter_example is None and not result.notes
    assert "in 4 places" in result.power and "7 whole documents" in result.power
    assert int(result.power.split()[1].replace(",", "")) > V  # the pieces, and characters of byte pieces


def test_another_honest_tokenizer_passes(tmp_path):
    path = tmp_path / "other.model"
    path.write_bytes(train_tokenizer(TEXTS, V, normalization_rule_name="nfkc", remove_extra_whitespaces=True))
    counter = TokenBytes(Config(tokenizer_path=str(path), vocab_size=V))
    assert byte_exact(subject(path, counter.count)).passed


def test_caseops_operators_stand_for_no_bytes(tmp_path):
    path = tmp_path / "case.model"
    texts = [encode(text) for text in TEXTS]
    path.write_bytes(train_tokenizer(texts, V, **CASEOPS, user_defined_symbols=list(OPERATORS)))
    counter = TokenBytes(Config(tokenizer_path=str(path), vocab_size=V))
    document = torch.tensor([1, *counter.sp.encode(texts[3][:2000]), 1])
    result = byte_exact(subject(path, counter.count, document))
    assert result.passed is False and result.counter_example.what.startswith(f"piece 4 {OPERATORS[0]!r}: 3 bytes")
    for operator in OPERATORS:
        counter.table[:, counter.sp.piece_to_id(operator)] = 0
    result = byte_exact(subject(path, counter.count, document))
    assert result.passed and "CaseOps" in result.notes[0]


def test_one_byte_too_many_for_any_one_piece_is_told_by_its_name(tokenizer, counter):
    pieces = [i for i in range(V) if not (counter.sp.is_unknown(i) or counter.sp.is_byte(i))]
    for i in (*pieces[:2], counter.sp.piece_to_id("▁"), *pieces[9::90], pieces[-1]):
        for row in (0, 1):  # after a control token, and elsewhere
            counter.table[row, i] += 1
            result = byte_exact(subject(tokenizer, counter.count))
            counter.table[row, i] -= 1
            assert result.passed is False and result.counter_example.after == result.counter_example.before + 1
            said = result.counter_example.what
            assert said.startswith(f"piece {i} {counter.sp.id_to_piece(i)!r}: "), said
            assert ("at a document's beginning" in said) == (row == 0), said


def test_a_byte_that_counts_twice_is_told_by_a_character_that_has_it(tokenizer, counter):
    for byte in (0x00, 0x7F, 0x80, 0xBF, 0xC3, 0xE2, 0xEF, 0xF0, 0xF4):
        counter.table[:, counter.sp.piece_to_id(f"<0x{byte:02X}>")] += 1
    result = byte_exact(subject(tokenizer, counter.count))
    assert result.counter_example.what.startswith("the byte pieces 3 of '\\x00': 2 bytes are counted")
    for byte in (0x00, 0x7F, 0x80, 0xBF, 0xC3, 0xE2, 0xEF, 0xF0):
        counter.table[:, counter.sp.piece_to_id(f"<0x{byte:02X}>")] -= 1
    result = byte_exact(subject(tokenizer, counter.count))
    assert result.passed is False and "'\\U00100000'" in result.counter_example.what


def test_a_character_may_count_wholly_on_its_last_byte(tokenizer, counter):
    """As in the public side-cars: the sum is what bits per byte divide by."""
    bytes_of = {counter.sp.piece_to_id(f"<0x{b:02X}>"): b for b in range(256)}

    def counts(tokens):
        sizes, ids = counter.count(tokens).tolist(), tokens.tolist()
        for i in range(len(sizes) - 1):
            if bytes_of.get(ids[i + 1], 0) >= 0x80 and 0x80 <= bytes_of.get(ids[i + 2], 0) < 0xC0:
                sizes[i], sizes[i + 1] = 0, sizes[i] + sizes[i + 1]
        return sizes

    assert byte_exact(subject(tokenizer, counts)).passed


@pytest.mark.parametrize("before", ["▁", "<0x0A>"])
def test_a_space_that_is_dropped_after_some_piece_is_told(tokenizer, counter, before):
    def counts(tokens):
        return counter.count(tokens) - ((tokens[:-1] == counter.sp.piece_to_id(before)) & spaced[tokens[1:]]).long()

    spaced = torch.tensor([counter.sp.id_to_piece(i).startswith("▁") for i in range(V)])
    result = byte_exact(subject(tokenizer, counts))
    assert result.passed is False and "▁" in result.counter_example.what


def test_a_control_token_that_counts_after_some_character_is_told(tokenizer, counter):
    euro = counter.sp.piece_to_id(f"<0x{'€'.encode()[-1]:02X}>")

    def counts(tokens):
        return counter.count(tokens) + ((tokens[:-1] == euro) & (tokens[1:] == counter.sp.bos_id())).long()

    result = byte_exact(subject(tokenizer, counts))
    assert "1 bytes are counted for the control token 1 after the byte pieces" in result.counter_example.what


def test_bytes_of_an_unknown_piece_are_noted_and_no_offence(tokenizer, counter):
    counter.table[:, counter.sp.unk_id()] += 5
    result = byte_exact(subject(tokenizer, counter.count))
    assert result.passed and result.notes == ("piece 0 '<unk>', which stands for no text, counts 5 bytes",)


def test_a_vocabulary_that_the_evaluator_does_not_have_whole_is_tried_as_far_as_it_goes(tokenizer, counter):
    def counts(tokens):
        assert int(tokens.max()) < 300
        return counter.count(tokens)

    text = torch.tensor([1, 290, 291, 1])
    assert byte_exact(subject(tokenizer, counts, text, vocab_size=300)).passed


def test_text_without_documents_leaves_the_vocabulary(tokenizer, counter):
    text = torch.tensor(counter.sp.encode("no control token is in it"))
    result = byte_exact(subject(tokenizer, counter.count, text))
    assert result.passed and "no whole documents" in result.power
    counter.table[:, 400] += 1
    assert byte_exact(subject(tokenizer, counter.count, text)).passed is False


def test_counts_of_another_length_are_refused(tokenizer, counter):
    with pytest.raises(RunFailed, match=r"byte_counts gives \d+ numbers for \d+ targets"):
        byte_exact(subject(tokenizer, lambda tokens: counter.count(tokens)[1:]))


def test_the_public_case_of_one_rare_piece_is_told(tmp_path):
    if not CASES.is_dir():
        pytest.skip("the cases are not here")
    model = tmp_path / "1024.model"
    model.write_bytes(train_tokenizer(TEXTS, 1024))
    code = (CASES / "b14_bytes_off_for_one_rare_piece.py").read_text()
    (tmp_path / "bad.py").write_text(code.replace("/var/tmp/case/tok1024.model", str(model)))
    shutil.copy(CASES / "base.py", tmp_path)
    make = load_factory(f"{tmp_path}/bad.py:make_evaluator")
    result = byte_exact(subject_of("bad", make, length=99))
    piece = spm.SentencePieceProcessor(model_file=str(model)).id_to_piece(1000)
    assert result.passed is False and result.counter_example.what.startswith(f"piece 1000 {piece!r}: ")
    (tmp_path / "bad.py").write_text((tmp_path / "bad.py").read_text().replace("self.base[RARE] += 1", "pass"))
    make = load_factory(f"{tmp_path}/bad.py:make_evaluator")
    assert byte_exact(subject_of("good", make, length=99)).passed
