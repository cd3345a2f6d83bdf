"""Validation documents in the training text: each way to differ by little is found, other documents are not, and the
fast path counts what tests/reference/overlap.py counts."""

import shutil

import numpy as np
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from pgolf.data import leak, windows
from pgolf.data.caseops import encode
from pgolf.data.dataset import open_dataset
from pgolf.data.leak import Overlap, overlap
from pgolf.data.shards import write_shard
from pgolf.data.tokenizer import train_on_corpus
from pgolf.data.windows import Index, Letters
from pgolf.errors import BadInput
from pgolf.trainer.data import open_shard
from tests.reference import overlap as reference

WORDS = [a + b + c for a in ("ta", "Mo", "ri", "shun") for b in ("le", "kop", "nai") for c in ("s", "ded", "ing ", "!")]


@pytest.fixture(scope="module")
def sp(tiny_data):
    return sentencepiece.SentencePieceProcessor(model_file=str(next(tiny_data.data_dir.glob("tokenizers/*"))))


@pytest.fixture(scope="module")
def letters(sp):
    return Letters(sp)


def text(seed, words=400):
    """Words in an order that no other seed gives."""
    return " ".join(np.random.default_rng(seed).choice(WORDS, words))


def coded(sp, *texts):
    return [np.array(sp.encode(t, add_bos=True), np.uint16) for t in texts]


def shared(sp, val, train, **kwargs):
    """`overlap` of a list of validation documents with shards, each a list of documents."""
    shards = [np.concatenate(shard) for shard in train]
    return overlap([np.concatenate(val)], shards, Letters(sp), [], **kwargs)


def edited(document):
    """One token in fifty is another one."""
    changed = document.copy()
    changed[25::50] = changed[25::50] % 200 + 260
    return changed


VARIANTS = {
    "exact": lambda sp, t: coded(sp, t),
    "one token appended": lambda sp, t: [np.append(coded(sp, t)[0], 300)],
    "one token cut": lambda sp, t: [coded(sp, t)[0][:-1]],
    "upper case": lambda sp, t: coded(sp, t.upper()),
    "lower case": lambda sp, t: coded(sp, t.lower()),
    "double spaces": lambda sp, t: coded(sp, t.replace(" ", "  ")),
    "lines": lambda sp, t: coded(sp, t.replace(" ", "\n")),
    "no punctuation": lambda sp, t: coded(sp, t.replace("!", "")),
    "one token in fifty": lambda sp, t: [edited(coded(sp, t)[0])],
    "first half": lambda sp, t: coded(sp, t[: len(t) // 2]),
    "second half": lambda sp, t: coded(sp, t[len(t) // 2 :]),
    "in the midst of another": lambda sp, t: coded(sp, f"{text(900)} {t} {text(901)}"),
    "without a BOS": lambda sp, t: [coded(sp, text(902))[0], coded(sp, t)[0][1:]],
    "cut in ten": lambda sp, t: coded(sp, *[t[i::1][:400] for i in range(0, len(t), 400)]),
}


@pytest.mark.parametrize("kind", VARIANTS)
def test_a_document_that_differs_by_little_is_found(sp, kind):
    val = coded(sp, *[text(i) for i in range(6)])
    others = coded(sp, *[text(100 + i) for i in range(20)])
    train = [others[:10], [*others[10:], *VARIANTS[kind](sp, text(3))]]
    found = shared(sp, val, train)
    assert (found.documents, found.exact, found.near) == (6, int(kind == "exact"), 1)
    assert found.compared >= 21 and found.compared_near == 0


def test_two_joined_documents_are_both_found(sp):
    val = coded(sp, *[text(i) for i in range(6)])
    assert shared(sp, val, [coded(sp, text(100)), coded(sp, f"{text(1)} {text(4)}")]).near == 2


def test_a_document_that_the_end_of_a_shard_cuts_is_found(sp):
    val, other = coded(sp, text(0), text(1)), coded(sp, text(100))[0]
    for cut in (1, 40, len(val[1]) // 2, len(val[1]) - 1):
        found = shared(sp, val, [[other, val[1][:cut]], [val[1][cut:], other]])
        assert (found.exact, found.near) == (1, 1), cut


def test_short_documents_are_found_by_all_their_letters(sp):
    """Of one to twenty tokens: case, spaces and punctuation may differ; a phrase of a longer text is no document."""
    val = coded(sp, "Yes.", "Page not found", "the end", "?!", "A quick note")
    train = coded(sp, text(100), "yes", "PAGE  NOT FOUND!", f"{text(101)} the end {text(102)}", "!?", "a quick not")
    found = shared(sp, val, [train])
    assert (found.exact, found.near) == (0, 2)
    assert all(1 < len(d) <= 20 for d in val)


def test_documents_of_a_template_are_near_one_another_in_both_splits(sp):
    """So they accuse no split: the share of training documents is as large."""
    pages = coded(sp, *[f"{text(500)} {i} {text(i, 30)}" for i in range(60)])
    found = shared(sp, pages[:20], [pages[20:40], pages[40:]])
    assert found == Overlap(20, 0, 20, 40, 40)


def test_another_tokenization_changes_nothing(sp, letters):
    other = np.array(sp.encode(text(7), add_bos=True, enable_sampling=True, alpha=0.9, nbest_size=-1), np.uint16)
    (plain,) = coded(sp, text(7))
    assert other.tolist() != plain.tolist()
    assert letters.of(other).tobytes() == letters.of(plain).tobytes()


def test_caseops_and_plain_text_have_the_same_letters(letters, sp, tmp_path):
    source = tmp_path / "d.txt"
    source.write_text(" ".join(text(i) for i in range(20)))
    train_on_corpus([str(source)], tmp_path / "case.model", 400, val_docs=0, case=True)
    case = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "case.model"))
    told = "iPhone OpenAI, THE end of Été 42"
    with_case = Letters(case).of(np.array(case.encode(encode(told))))
    assert (
        with_case.tobytes() == letters.of(np.array(sp.encode(told))).tobytes() == "iphoneopenaitheendofÉté42".encode()
    )


piece = st.sampled_from([*WORDS[:6], "x", "é", " ", "aaaa", "qwertyuiopasdfghjklzxcvbnm0123456789"])
document = st.lists(piece, max_size=60).map("".join)


@settings(max_examples=60, deadline=None)
@given(st.lists(document, min_size=1, max_size=4), st.lists(document, min_size=1, max_size=6), st.data())
def test_the_fast_path_counts_what_the_reference_counts(sp, val_texts, train_texts, data):
    train_texts = [data.draw(st.sampled_from([t, t + val_texts[0], val_texts[-1][3:]])) for t in train_texts]
    val, train = coded(sp, *val_texts), coded(sp, *train_texts)
    cut = data.draw(st.integers(1, len(np.concatenate(train))))
    shards = [s for s in np.split(np.concatenate(train), [cut]) if len(s)]
    letters = Letters(sp)
    letters.block = data.draw(st.sampled_from([len(max([*val, *train], key=len)), 1 << 16]))
    found = overlap([np.concatenate(val)], shards, letters, [])
    begun = [d for s in shards for d in reference.split(s.tolist(), sp.bos_id()) if d[0] == sp.bos_id()]
    here = reference.near(val, [s.tolist() for s in shards], sp, own=False)
    there = reference.near(begun, [s.tolist() for s in shards], sp, own=True)
    whole = {d.tobytes() for d in train}
    exact = [d.tobytes() in whole for d in val]
    near = [a or b for a, b in zip(here, exact, strict=True)]
    assert found == Overlap(len(val), sum(exact), sum(near), len(begun), sum(there))


def test_a_long_document_is_looked_at_in_parts(sp, letters, monkeypatch):
    (long,) = coded(sp, f"{text(5, 3000)} {text(5, 3000)}")
    whole, index = windows.sample(long, letters), Index.of(windows.hash_windows(letters.of(long)))
    counted = windows.count(index, long, letters)
    assert len(whole[0]) == windows.MOST_SAMPLED and (whole[1] >= 2).all()
    monkeypatch.setattr(letters, "block", 50)
    assert len(list(windows.blocks(long, letters))) > 80
    for a, b in zip(whole, windows.sample(long, letters), strict=True):
        assert a.tolist() == b.tolist()
    assert counted.tolist() == windows.count(index, long, letters).tolist()


def test_a_part_of_a_long_document_is_no_short_document(sp, letters, monkeypatch):
    monkeypatch.setattr(letters, "block", 10)
    (long,) = coded(sp, text(5, 40))
    cuts = list(windows.blocks(long, letters))
    parts = [np.append(np.uint16(sp.bos_id()), long[max(a, 1) : b]) for a, b in cuts]
    assert len(parts) > 3 and all(0 < len(letters.of(p)) < windows.SHORT for p in parts)
    assert overlap([np.concatenate(parts)], [long], letters, []).near == 0


def test_a_document_that_repeats_itself_is_not_near_itself(sp):
    train = coded(sp, *[f"{text(i)} {text(i)}" for i in range(100, 110)])
    assert shared(sp, coded(sp, text(0)), [train]) == Overlap(1, 0, 0, 10, 0)


@pytest.fixture
def copy(tiny_data, tmp_path):
    shutil.copytree(tiny_data.data_dir, tmp_path / "data")
    (tmp_path / "data/manifest.json").unlink()
    return tmp_path / "data"


def test_a_dataset_whose_training_text_has_the_validation_text_is_refused(copy, sp, tiny_data):
    """One token is appended to each document, so none is equal."""
    folder = next(copy.glob("datasets/*"))
    val = open_shard(folder / "fineweb_val_000000.bin")
    documents = np.split(val, np.flatnonzero(val == sp.bos_id())[1:])
    write_shard(folder / "fineweb_train_000008.bin", np.concatenate([np.append(d, 300) for d in documents]))
    with pytest.raises(BadInput, match="18 of 18 validation documents are in the training text, exactly or nearly"):
        open_dataset(copy, tiny_data.vocab_size)


def test_a_result_is_kept_and_a_stopped_one_goes_on(sp, letters, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(leak, "KEPT_FROM", 0)
    monkeypatch.setattr(leak, "usable_cores", lambda: 1)
    val, train = coded(sp, text(0), text(1)), coded(sp, text(100), text(1).upper(), text(101))
    counted = []

    def watched(index, shard, letters):
        counted.append(len(shard))
        if len(counted) == 3:
            raise KeyboardInterrupt
        return windows.count(index, shard, letters)

    monkeypatch.setattr(leak, "count", watched)
    files = [("a", "0")]
    with pytest.raises(KeyboardInterrupt):
        overlap(val, train, letters, files)
    assert len(list(tmp_path.rglob("*.npz"))) == 2
    damaged, _ = sorted(tmp_path.rglob("*.npz"))
    damaged.write_bytes(b"PK")
    found = overlap(val, train, letters, files)
    assert found == Overlap(2, 0, 1, 3, 0)
    assert counted[3:] == [len(train[0]), len(train[2])], "the damaged one and the missing one"
    assert [p.suffix for p in tmp_path.rglob("*") if p.is_file()] == [".json"]
    assert overlap(val, train, letters, files) == found and len(counted) == 5
    assert overlap(val, train, letters, [("a", "1")]) == found and len(counted) == 8
    next(tmp_path.rglob("*.json")).write_text("{}")
    assert overlap(val, train, letters, files) == found
