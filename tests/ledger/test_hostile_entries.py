"""Ledger entries that a stranger wrote: types and ranges of every number, and files that are none."""

import json
import os

import pytest

from pgolf import ledger
from pgolf.errors import BadInput

GOOD = json.loads((ledger.FOLDER / "pr1493.json").read_text())
CHANGES = {
    "decimals": [-1, 1e300, "x", None, [8], 10**9],
    "bytes_per_token": [0, -1, "x", True and [1]],
    "val_bytes": [-1, 1.5, "x", 2**70],
    "seeds": [{}, [1], [{"seed": 42}], None],
    "hyperparameters": [[1], {"a": {"b": 1}}],
}
OF_A_SEED = {
    "val_bpb": [0, -1, 1e9, "x", None],
    "val_loss": [0, -1, "x"],
    "artifact_bytes": [-1, 2**64, 0.5],
    "train_seconds": [-1, "x"],
    "steps": [-5],
    "curve": [[[1]], [["x", 1]], 7],
}


def written(tmp_path, content):
    path = tmp_path / "entry.json"
    path.write_text(json.dumps(content))
    return str(path)


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, values in CHANGES.items() for v in values])
def test_an_entry_with_a_wrong_value_is_refused_by_name(tmp_path, key, value):
    with pytest.raises(BadInput, match=rf"entry\.json: no ledger entry: ({key}|an integer)"):
        ledger.load(written(tmp_path, GOOD | {key: value}))


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, values in OF_A_SEED.items() for v in values])
def test_a_seed_with_a_wrong_value_is_refused_by_name(tmp_path, key, value):
    first, *others = GOOD["seeds"]
    with pytest.raises(BadInput, match=rf"entry\.json: no ledger entry: (seeds\.0\.{key}|an integer)"):
        ledger.load(written(tmp_path, GOOD | {"seeds": [first | {key: value}, *others]}))


@pytest.mark.parametrize("text", ["Infinity", "[" * 100_000, "9" * 400, "\0", '{"decimals": NaN}'])
def test_text_that_is_no_entry_is_refused(tmp_path, text):
    (tmp_path / "entry.json").write_text(text)
    with pytest.raises(BadInput, match=r"entry\.json: no ledger entry"):
        ledger.load(str(tmp_path / "entry.json"))


def test_a_pipe_is_no_entry(tmp_path):
    os.mkfifo(tmp_path / "entry.json")
    with pytest.raises(BadInput, match=r"entry\.json: no ledger entry: no plain file but a pipe"):
        ledger.load(str(tmp_path / "entry.json"))
