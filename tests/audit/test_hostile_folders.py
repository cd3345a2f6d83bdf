"""Folders that cannot be read, and folders that mean harm."""

import json

import pytest
from good_entry import BPB, SEEDS, log_text

from pgolf.audit.audit import as_json, audit
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
