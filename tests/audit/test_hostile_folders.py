"""Folders that cannot be read, and folders that mean harm."""

import json
import os

import pytest
from good_entry import BPB, SEEDS, Folder, log_text

from pgolf.audit.archive import record_folders
from pgolf.audit.audit import as_json, audit
from pgolf.audit.many import Unreadable, audit_each
from pgolf.errors import BadInput


def test_unreadable(tmp_path, folder):
    with pytest.raises(BadInput, match="no folder"):
        audit(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="not a record folder"):
        audit(tmp_path / "empty")
    with pytest.raises(BadInput, match="no ledger entry 'pr1492'"):
        audit(folder.path, against="pr1492")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "[" * 100_000,
        '{"val_bpb": NaN, "seeds": "x"}',
        '{"val_bpb": 1e999999999, "seed_results": {"42": null, "x": 3}}',
        '{"val_bpb": {"a": 1}, "seeds": [[1]], "seed_results": [1, {"seed": 42, "val_bpb": "x"}]}',
        '{"seeds": {"42": 1.07902311}, "p_value": "tiny", "name": "\\u0000[red]<script>|"}',
        '{"n_seeds": 3.5, "track": "../../etc", "val_bpb_std": -1}',
        '{"val_bpb": 1e30, "seed_results": {"42": {"a_bpb": 1.0}}, "seeds": [1e300, "9"]}',
        '{"val_bpb": {"seed_42": 1e-300, "mean": 1e300}, "artifact_bytes": 1e300, "seed_999999999999": {}}',
        '{"a": ' * 200 + "1" + "}" * 200,
        '{"seed_results": {' + ",".join(f'"{i}": 1.0' for i in range(20_000)) + "}}",
    ],
)
def test_hostile_submissions_harm_nothing(folder, text):
    (folder.path / "submission.json").write_text(text)
    result = audit(folder.path)
    json.dumps(as_json([result]), allow_nan=False)
    assert BPB[42] in [r.final.val_bpb for r in result.runs]


@pytest.mark.parametrize(
    "words", ["9" * 1_000_000, "1 bpb " * 150_000, " " * 500_000 + "p", "1e" + "9" * 9000 + " nats", "|" * 500_000]
)
def test_hostile_readmes_harm_nothing(folder, words):
    (folder.path / "README.md").write_text(f"p < {words} 0.1 bpb = {words} nats, t = {words}")
    assert audit(folder.path, against="pr1394").check("units").status != "fail"


def test_links_out_of_the_folder_are_not_followed(folder, tmp_path):
    secret = tmp_path / "secret.log"
    secret.write_text(log_text(42, 1.0).replace("seed: 42", "seed: 5"))
    (folder.path / "train_seed5.log").symlink_to(secret)
    assert [r.seed.value for r in audit(folder.path).runs] == sorted(SEEDS)


@pytest.mark.parametrize(
    "name",
    [
        "../secret.py",
        "{tmp}/secret.py",
        "link.py",
        "sub/../train_gpt.py",
        "x" * 5000,
        "\0",
        "\ud800",
        "sub",
        "",
        "/",
        "gone.py",
    ],
)
def test_a_program_that_is_no_file_of_the_folder_is_not_looked_at(folder, tmp_path, name):
    (tmp_path / "secret.py").write_text("secret")
    (folder.path / "sub").mkdir()
    (folder.path / "link.py").symlink_to(tmp_path / "secret.py")
    named = name.replace("{tmp}", str(tmp_path))
    folder.claim(program=named, code=[named, 7, None, [named]])
    found = audit(folder.path)
    assert found.entry.program == "train_gpt.py" and found.entry.code_sizes == {}
    assert found.check("code-bytes").status == "pass"


def test_a_program_of_another_name_is_the_one_that_submission_json_names(folder):
    code = (folder.path / "train_gpt.py").read_bytes()
    (folder.path / "lib").mkdir()
    (folder.path / "lib" / "model.py").write_bytes(code[:5000])
    (folder.path / "train_gpt.py").rename(folder.path / "run.py")
    (folder.path / "run.py").write_bytes(code[5000:])
    assert audit(folder.path).check("required-files").status == "fail"
    folder.claim(program="run.py", code=["run.py", "lib/model.py"])
    found = audit(folder.path)
    both = found.check("code-bytes")
    assert (both.status, both.message) == ("pass", "run.py and the code beside it have 15,000 bytes, as in the logs")
    assert found.check("required-files").message == "run.py should be called train_gpt.py"
    (folder.path / "lib" / "model.py").write_bytes(code[:4000])
    assert audit(folder.path).check("code-bytes").status == "fail"


def a_pipe(path):
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def a_sparse_file(path):
    with path.open("wb") as f:
        f.truncate(200 << 30)


def a_link_out(path):
    there = path.parent.parent / f"elsewhere-{path.name}"
    path.rename(there) if path.exists() else there.write_text('{"t": 1.0, "event": "end"}\n')
    path.symlink_to(there)


REASONS = {a_pipe: "no plain file but a pipe", a_sparse_file: "over ", a_link_out: "a link that leads out of"}


@pytest.mark.parametrize("make", REASONS)
@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("README.md", "required-files"),
        ("submission.json", "required-files"),
        ("train_gpt.py", "required-files"),
        ("train_seed42.log", "required-files"),
        ("events_seed42.jsonl", "log-complete"),
        ("dataset.json", "train-val-disjoint"),
    ],
)
def test_a_file_that_may_not_be_read_is_a_finding(folder, name, check, make):
    make(folder.path / name)
    found = audit(folder.path)
    if make is a_sparse_file and name in ("README.md", "train_gpt.py"):  # its beginning, or its size, is what counts
        assert found.check("code-bytes").status == ("fail" if name == "train_gpt.py" else "pass")
        return
    if name == "dataset.json":
        assert found.check(check).status == "unknown"
        check = check if make is a_sparse_file else "required-files"
    assert found.check(check).status != "pass"
    assert f"{name}: {REASONS[make]}" in found.check(check).message.replace(" is not read:", ":")


def test_logs_behind_a_link_are_no_evidence(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    for seed in SEEDS:
        folder.log(seed).rename(tmp_path / "elsewhere" / folder.log(seed).name)
    (folder.path / "logs").symlink_to(tmp_path / "elsewhere")
    found = audit(folder.path)
    assert not found.runs
    assert "logs is not read: a link that leads out of" in found.check("required-files").message


def test_a_file_reached_by_a_link_inside_the_folder_counts(folder):
    (folder.path / "docs").mkdir()
    (folder.path / "README.md").rename(folder.path / "docs" / "README.md")
    (folder.path / "README.md").symlink_to("docs/README.md")
    assert audit(folder.path).check("required-files").status == "pass"


def test_an_archive_holds_no_record_behind_a_link(folder, tmp_path):
    (tmp_path / "archive" / "one").mkdir(parents=True)
    (tmp_path / "archive" / "one" / "submission.json").write_text("{}")
    (tmp_path / "archive" / "two").symlink_to(folder.path)
    (tmp_path / "archive" / "one" / "again").symlink_to("..")
    assert record_folders(tmp_path / "archive") == [tmp_path / "archive" / "one"]


def test_a_hostile_folder_takes_no_other_down(folder, tmp_path):
    hostile = Folder(tmp_path / "2026-04-26_Hostile")
    hostile.write()
    for name in ("README.md", "submission.json", "dataset.json"):
        a_pipe(hostile.path / name)
    for seed in SEEDS:
        a_sparse_file(hostile.log(seed))
    bad, good = audit_each([hostile.path, folder.path], lambda a: a.check("required-files"), jobs=1)
    assert isinstance(bad, Unreadable) or bad.status == "fail"
    assert good.status == "pass"


@pytest.mark.parametrize(
    "text",
    [
        "9" * 400,
        '{"val_documents": Infinity, "val_documents_in_train": 0}',
        '{"val_documents": 50000, "val_documents_in_train": ' + "9" * 400 + "}",
        '{"val_documents": 50000, "val_documents_in_train": true}',
        '{"val_documents": 50000, "val_documents_in_train": -1}',
        '{"val_documents": "50000", "val_documents_in_train": 1e99}',
        "[" * 100_000,
        "[" * 50 + "]" * 50,
        "\ufeff[]",
        "\0",
    ],
)
def test_a_hostile_manifest_counts_nothing(folder, text):
    (folder.path / "dataset.json").write_text(text)
    found = audit(folder.path).check("train-val-disjoint")
    assert found.status == "unknown" and "does not count" in found.message


@pytest.mark.parametrize("value", ["9" * 400, "Infinity", "[" * 900 + "]" * 900, "1e999", '"\\ud800"'])
def test_hostile_lines_of_events_are_passed_over(folder, value):
    events = [
        f'{{"t": 0.1, "event": "start", "config": {{"seed": 42, "x": {value}}}, "world_size": {value}}}',
        f'{{"t": 0.2, "event": "stop", "step": {value}, "train_ms": {value}}}',
        f'{{"t": 0.2, "event": "train", "step": 1, "train_loss": {value}}}',
    ]
    (folder.path / "events_seed42.jsonl").write_text("\n".join(events) + "\n")
    folder.edit("train_seed42.log", "world_size: 8", f'world_size: 8\n{{"step": 3, "x": {value}, "y": [{value}]}}')
    result = audit(folder.path)
    json.dumps(as_json([result]), allow_nan=False).encode()
    assert BPB[42] in [r.final.val_bpb for r in result.runs]


def test_an_empty_program_is_not_the_code_that_ran(folder):
    (folder.path / "train_gpt.py").write_bytes(b"")
    found = audit(folder.path).check("code-bytes")
    assert found.status == "fail" and "train_gpt.py has 0 bytes" in found.message
