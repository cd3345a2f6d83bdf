"""Documents of files: the same ones in the same order however a corpus is cut, and clear words where there are none."""

import json

import pyarrow
import pytest
from pyarrow import parquet

from pgolf.data import corpus
from pgolf.data.documents import documents, find_shared
from pgolf.errors import BadInput

TEXTS = ["one\ntwo", "drei → vier", "", " x ", "é" * 50, "last"]


def read_all(files, field="text"):
    return [text for piece in corpus.cut(files) for text in corpus.read(piece, field)]


def test_a_long_line_that_is_no_utf8_is_named_and_not_shown(tmp_path):
    path = tmp_path / "docs.jsonl"
    path.write_bytes(b'{"text": "' + b"a" * 100_000 + b'\xff"}\n')
    with pytest.raises(BadInput, match=r"line at byte 0 .* byte 0xff in position 100010") as e:
        read_all([path])
    assert len(str(e.value)) < 1000


def test_every_way_to_cut_lines_gives_the_same_documents(tmp_path, monkeypatch):
    path = tmp_path / "docs.jsonl"
    lines = [json.dumps({"text": t, "id": i}, ensure_ascii=i % 2 == 0) for i, t in enumerate(TEXTS)]
    for end in ("", "\n", "\n\n  \n"):
        path.write_text("\n".join(lines[:3]) + "\r\n\n" + "\n".join(lines[3:]) + end)
        for size in range(1, 300, 7):
            monkeypatch.setattr(corpus, "PIECE_BYTES", size)
            assert read_all([path]) == TEXTS, (end, size)


def test_files_of_all_kinds_in_the_order_given(tmp_path):
    (tmp_path / "b.txt").write_text("b")
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "c.jsonl").write_text('{"text": "c"}')
    parquet.write_table(pyarrow.table({"text": ["d", "e", "f"]}), tmp_path / "d.parquet", row_group_size=2)
    files = corpus.find_files([f"{tmp_path}/d.parquet", f"{tmp_path}/*.txt", f"{tmp_path}/c.jsonl"])
    assert read_all(files) == ["d", "e", "f", "a", "b", "c"]
    assert len(corpus.cut(files)) == 2 + 1 + 1


@pytest.mark.parametrize(
    "name, content, reason",
    [
        ("a.jsonl", b'{"text": "x"}\n{"text": 5}', "line at byte 14"),
        ("a.jsonl", b'{"txt": "x"}', 'text in "text"'),
        ("a.jsonl", b'["x"]', "line at byte 0"),
        ("a.jsonl", b"{", "line at byte 0"),
        ("a.jsonl", b'{"text": "\\ud800"}', "surrogates"),
        ("a.txt", b"abc\xff", "byte 3 is not UTF-8"),
        ("a.parquet", b"PAR1", "not a parquet file"),
        ("a.csv", b"x", "documents come in"),
    ],
)
def test_what_is_no_document_is_said_with_its_place(name, content, reason, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=reason) as e:
        read_all(corpus.find_files([str(tmp_path / name)]))
    assert name in str(e.value)


def test_missing_or_repeated_files_and_columns(tmp_path):
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"body": ["x", None]}), path)
    with pytest.raises(BadInput, match="no column 'text'; it has body"):
        read_all([path])
    with pytest.raises(BadInput, match="row 1 of group 0"):
        read_all([path], "body")
    with pytest.raises(BadInput, match="no such file"):
        corpus.find_files([str(tmp_path / "*.jsonl")])
    with pytest.raises(BadInput, match="more than once"):
        corpus.find_files([str(path), str(tmp_path / "*")])


def test_documents_that_a_shard_cuts_are_whole_again():
    import numpy as np

    whole = [np.array([1, 5, 6, 7], np.uint16), np.array([1, 8], np.uint16), np.array([1, 9, 9, 9, 9], np.uint16)]
    stream = np.concatenate(whole)
    for a in range(1, len(stream)):
        for b in range(a, len(stream)):
            shards = [s for s in (stream[:a], stream[a:b], stream[b:]) if len(s)]
            assert [d.tolist() for d in documents(shards, 1)] == [d.tolist() for d in whole], (a, b)
    assert find_shared([whole[1], whole[0]], [stream[:3], stream[3:]], 1).tolist() == [True, True]
    assert find_shared([whole[1], np.array([1, 5], np.uint16)], [stream], 1).tolist() == [True, False]
