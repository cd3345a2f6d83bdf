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
