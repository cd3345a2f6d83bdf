"""Any corpus to shards: the bytes that a plain loop gives, for any number of workers, and through a kill."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow
import pytest
import sentencepiece
from pyarrow import parquet
from typer.testing import CliRunner

from pgolf.cli import app
from pgolf.data import corpus
from pgolf.data.caseops import OPERATORS
from pgolf.data.dataset import open_dataset
from pgolf.data.shards import write_shard
from pgolf.data.tokenize import read_split, tokenize
from pgolf.data.tokenizer import train_on_corpus
from pgolf.errors import BadInput
from pgolf.trainer.data import open_shard


@pytest.fixture(scope="module")
def texts(tiny_data):
    """The documents of the tiny dataset, in its order."""
    sp = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer_of(tiny_data)))
    stream = np.concatenate([open_shard(p) for p in shards(tiny_data.data_dir)]).tolist()
    starts = [i for i, token in enumerate(stream) if token == sp.bos_id()]
    return [sp.decode(stream[a:b]) for a, b in zip(starts, [*starts[1:], None], strict=True)]


@pytest.fixture
def jsonl(texts, tmp_path):
    path = tmp_path / "docs.jsonl"
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    return path


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(corpus, "PIECE_BYTES", 50_000)


def tokenizer_of(dataset) -> Path:
    return next(dataset.data_dir.glob("tokenizers/*"))


def shards(data_dir):
    found = sorted(data_dir.glob("datasets/*/fineweb_*.bin"))
    return [p for p in found if "_val_" in p.name] + [p for p in found if "_train_" in p.name]


def tokens(data_dir, split):
    return np.concatenate([open_shard(p) for p in shards(data_dir) if f"_{split}_" in p.name])


def test_shards_hold_what_a_plain_loop_gives(tiny_data, texts, jsonl, tmp_path):
    sp = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer_of(tiny_data)))
    made = tokenize([str(jsonl)], tokenizer_of(tiny_data), tmp_path / "out", val_docs=17, workers=2)
    expected = [sp.encode(t, add_bos=True) for t in texts]
    assert tokens(made.data_dir, "val").tolist() == np.concatenate(expected[:17]).tolist()
    assert tokens(made.data_dir, "train").tolist() == np.concatenate(expected[17:]).tolist()
    assert made.val_bytes == sum(len(t.encode()) for t in texts[:17])
    train = [open_shard(p) for p in shards(made.data_dir) if "_train_" in p.name]
    assert len(train) == 8 and all(s[0] == sp.bos_id() for s in train)
    assert max(map(len, train)) < 1.5 * min(map(len, train))
    manifest = json.loads((made.data_dir / "manifest.json").read_text())
    assert manifest["split"]["val_text_bytes"] == made.val_bytes
    assert (made.val_documents, made.val_documents_in_train) == (17, 0)
    again = tokenize([str(jsonl)], tokenizer_of(tiny_data), tmp_path / "out", val_docs=17)
    assert again.reused and again.files == made.files


def test_the_number_of_workers_and_the_kind_of_file_change_nothing(tiny_data, texts, jsonl, tmp_path):
    table = tmp_path / "docs.parquet"
    parquet.write_table(pyarrow.table({"body": texts}), table, row_group_size=100)
    made = [
        tokenize([str(jsonl)], tokenizer_of(tiny_data), tmp_path / f"out{n}", val_docs=5, workers=n, shard_tokens=9000)
        for n in (1, 3)
    ]
    made.append(
        tokenize([str(table)], tokenizer_of(tiny_data), tmp_path / "p", val_docs=5, field="body", shard_tokens=9000)
    )
    assert made[0].files == made[1].files == made[2].files
    assert made[0].input_hash == made[1].input_hash != made[2].input_hash
    assert len(shards(made[0].data_dir)) > 9


def test_killed_it_leaves_no_dataset_and_no_worker_and_goes_on(tiny_data, jsonl, tmp_path):
    code = (
        "import sys, time; from pathlib import Path; import pgolf.data.corpus as c; c.PIECE_BYTES = 50_000\n"
        "from pgolf.data.tokenize import tokenize\n"
        "def stop(what, done, total):\n"
        "    if done == 3: print(total, flush=True); time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    tokenize([sys.argv[1]], Path(sys.argv[2]), Path(sys.argv[3]), val_docs=9, workers=2, progress=stop)"
    )
    script, out = tmp_path / "run.py", tmp_path / "out"
    script.write_text(code)
    process = subprocess.Popen(
        [sys.executable, str(script), str(jsonl), str(tokenizer_of(tiny_data)), str(out)], stdout=subprocess.PIPE
    )
    total = int(process.stdout.readline())
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    process.stdout.close()
    psutil.wait_procs(workers, timeout=30)
    assert not any(w.is_running() and w.status() != psutil.STATUS_ZOMBIE for w in workers)
    assert not out.exists()
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / ".out.partial").glob("parts-*/*.npz")}
    assert 3 <= len(kept) <= total
    seen = []

    def look(what, done, of):
        seen.append(({p: p.stat().st_mtime_ns for p in kept}, done) if what == "tokenizing" else None)

    made = tokenize([str(jsonl)], tokenizer_of(tiny_data), out, val_docs=9, progress=look)
    assert all(s[0] == kept and s[1] >= len(kept) for s in seen if s)
    straight = tokenize([str(jsonl)], tokenizer_of(tiny_data), tmp_path / "straight", val_docs=9)
    assert made.files == straight.files and made.input_hash == straight.input_hash
    assert not (tmp_path / ".out.partial").exists()


def test_caseops_shards_and_their_side_cars(texts, tmp_path):
    """Beside every validation shard the bytes of the original text, token for token."""
    path = tmp_path / "docs.jsonl"
    odd = ["  \t leading,  DOUBLE   and trailing \n ", "Snow☃Man ﬁne", f"an operator {OPERATORS[0]} in the TEXT"]
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in [*odd, *texts]))
    model = tmp_path / "case.model"
    train_on_corpus([str(path)], model, 500, val_docs=40, case=True)
    sp = sentencepiece.SentencePieceProcessor(model_file=str(model))
    assert [sp.id_to_piece(i) for i in range(9)] == ["<pad>", "<s>", "</s>", "<unk>", *OPERATORS, "<0x00>"]
    ordinary = [sp.id_to_piece(i) for i in range(264, 500)]
    assert not any(c.isascii() and c.isupper() for piece in ordinary for c in piece)
    made = [
        tokenize([str(path)], model, tmp_path / f"out{n}", val_docs=40, shard_tokens=4000, case=True, workers=n)
        for n in (1, 2)
    ]
    assert made[0].files == made[1].files
    folder = next(made[0].data_dir.glob("datasets/*"))
    assert len(list(folder.glob("fineweb_val_bytes_*.bin"))) == len(list(folder.glob("fineweb_val_0*.bin"))) > 1
    val = np.concatenate([open_shard(p) for p in sorted(folder.glob("fineweb_val_0*.bin"))])
    sizes = np.concatenate([open_shard(p) for p in sorted(folder.glob("fineweb_val_bytes_*.bin"))])
    starts = np.flatnonzero(val == 1)
    assert (sizes[starts] == 0).all() and (sizes[(val >= 4) & (val <= 7)] % 3 == 0).all()
    sums = np.add.reduceat(sizes.astype(np.int64), starts).tolist()
    assert sums == [len(t.strip().encode()) for t in [*odd, *texts][:40]]
    assert made[0].val_bytes == sum(sums)
    (snowman,) = [i for i, token in enumerate(val.tolist()) if sp.id_to_piece(token) == "<0x83>"]
    assert sizes[snowman - 2 : snowman + 1].tolist() == [0, 0, 3], "all on the last byte"
    first = folder / "fineweb_val_bytes_000000.bin"
    write_shard(first, open_shard(first)[:-1])
    with pytest.raises(BadInput, match="val_bytes_000000"):
        open_dataset(made[0].data_dir, 500)
    with pytest.raises(BadInput, match="train one with --caseops"):
        train_on_corpus([str(path)], model, 500, val_docs=40)
        tokenize([str(path)], model, tmp_path / "out", val_docs=40, case=True)


def test_training_documents_that_are_validation_documents_are_left_out(tiny_data, texts, tmp_path):
    path = tmp_path / "docs.jsonl"
    repeated = [*texts[:30], texts[2], "", *texts[30:60], texts[0], texts[40]]
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in repeated))
    made = tokenize([str(path)], tokenizer_of(tiny_data), tmp_path / "out", val_docs=4)
    assert made.documents == 61, "a duplicate inside training stays"
    split = read_split(made.data_dir)
    assert (split.left_out_of_training, split.empty, split.val_documents) == (2, 1, 4)
    assert made.val_documents_in_train == 0
    words = ["data", "tokenize", "--docs", str(path), "--tokenizer", str(tokenizer_of(tiny_data)), "--val-docs", "4"]
    said = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "out")]).output
    assert "left out: 2 training documents that are validation documents, too, and 1 empty ones" in said


def test_a_split_that_trains_on_its_validation_documents_is_refused(tiny_data, jsonl, tmp_path):
    made = tokenize([str(jsonl)], tokenizer_of(tiny_data), tmp_path / "out", val_docs=20)
    (made.data_dir / "manifest.json").unlink()
    folder = next(made.data_dir.glob("datasets/*"))
    val = open_shard(folder / "fineweb_val_000000.bin")
    some = int(np.flatnonzero(val == val[0])[15])  # as where a script's default is 15 and the split has 20
    write_shard(folder / "fineweb_train_000008.bin", np.array(val[some:]))
    with pytest.raises(BadInput, match="5 of 20 validation documents are training documents"):
        open_dataset(made.data_dir, made.vocab_size)


def test_bad_input_leaves_nothing(tiny_data, jsonl, tmp_path):
    tokenizer, out = tokenizer_of(tiny_data), tmp_path / "out"

    def refused(*args, **kwargs):
        with pytest.raises(BadInput) as e:
            tokenize(*args, **kwargs)
        return str(e.value)

    assert "leaves none to train on" in refused([str(jsonl)], tokenizer, out, val_docs=10_000)
    assert "not a SentencePiece model" in refused([str(jsonl)], jsonl, out)
    assert "no such file" in refused([str(jsonl)], tmp_path / "none.model", out)
    assert "at least 1" in refused([str(jsonl)], tokenizer, out, val_docs=0)
    assert "to be made" in refused([str(jsonl)], tokenizer, Path("."), val_docs=5)
    broken = tmp_path / "broken.jsonl"
    broken.write_text(jsonl.read_text() + "{")
    assert f"line at byte {jsonl.stat().st_size}" in refused([str(broken)], tokenizer, out, val_docs=5)
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.endswith(".lock")) == ["broken.jsonl", "docs.jsonl"]
    tokenize([str(jsonl)], tokenizer, out, val_docs=5)
    assert "holds a dataset of other" in refused([str(jsonl)], tokenizer, out, val_docs=6)


# joins the parts of a corpus: what that takes of memory
JOIN = """
import sys, tracemalloc
from pathlib import Path
from pgolf.data import corpus, encode
from pgolf.data.tokenize import Recipe, _join
corpus.PIECE_BYTES = 50_000
path, tokenizer, out = map(Path, sys.argv[1:])
encoding = encode.Encoding(tokenizer, "text")
encode.start_worker(encoding)
parts = []
for i, piece in enumerate(corpus.cut([path])):
    parts.append(out.with_name(f"{out.name}-{i:06}.npz"))
    encode.encode_piece(piece, parts[-1])
tracemalloc.start()
_join(parts, out, Recipe((path,), encoding, 9, 10_000_000), lambda what, done, total: None)
print(tracemalloc.get_traced_memory()[1])
"""


def test_memory_does_not_grow_with_the_corpus(tiny_data, texts, tmp_path):
    """A corpus ten times as large: the writer's peak over that of the small one stays far below what was added."""
    peaks = []
    for times in (2, 20):
        path = tmp_path / f"{times}.jsonl"
        with path.open("w") as f:
            for n in range(times):
                f.writelines(json.dumps({"text": f"{n} {t}"}) + "\n" for t in texts)
        arguments = (path, tokenizer_of(tiny_data), tmp_path / f"shards{times}")
        joined = subprocess.run([sys.executable, "-c", JOIN, *map(str, arguments)], capture_output=True, text=True)
        assert joined.returncode == 0, joined.stderr
        peaks.append((int(joined.stdout), path.stat().st_size))
    (small, small_size), (large, large_size) = peaks
    assert large - small < 0.05 * (large_size - small_size), peaks


def test_the_command(tiny_data, jsonl, tmp_path):
    command = [str(Path(sys.executable).with_name("pgolf")), "data", "tokenize", "--docs", str(jsonl)]
    command += ["--tokenizer", str(tokenizer_of(tiny_data)), "--out", str(tmp_path / "out"), "--val-docs", "9"]
    started = time.monotonic()
    done = subprocess.run([*command, "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["val_documents"] == 9 and time.monotonic() - started < 300
    done = subprocess.run([*command, "--field", "txt"], capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr and done.stdout == ""
