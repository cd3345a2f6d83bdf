"""Running a record again: its knobs come back, and its own spread judges the result. The programs are stand-ins that
print a log, since any folder's own program is what is run."""

import json
from pathlib import Path

import pytest

from pgolf.errors import BadInput, RunFailed
from pgolf.files import sha256_file
from pgolf.record.reproduce import reproduce

LOG = """Hyperparameters:
  matrix_lr: 0.022
  path: /nowhere
  seed: {seed}
train_shards: 1
1/2 train_loss: {loss} train_time: 0.0m
2/2 train_loss: 3.5 train_time: 0.1m
quantized_ttt val_loss:2.79 val_bpb:{bpb:.8f} eval_time:100ms
"""
PROGRAM = """import os
assert os.environ["MATRIX_LR"] == "0.022" and os.path.isdir(os.environ["DATA_DIR"])
seed = int(os.environ["SEED"])
bpb = {42: 1.0801, 314: 1.0803}[seed] + float(os.environ.get("EVAL_ONLY", "") != "") + 0.0 + SHIFT
print(f"Hyperparameters:\\n  seed: {seed}")
print(f"1/2 train_loss: 4.5{seed} train_time: 0.0m")
print(f"quantized_ttt val_loss:2.79 val_bpb:{bpb:.8f} eval_time:100ms")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "record"
    folder.mkdir()
    for seed, bpb in ((42, 1.0801), (314, 1.0803), (999, 1.0802)):
        (folder / f"train_seed{seed}.log").write_text(LOG.format(seed=seed, loss=f"4.5{seed}", bpb=bpb))
    (folder / "train_gpt.py").write_text(PROGRAM.replace("SHIFT", "0.0001"))
    (tmp_path / "data").mkdir()
    return folder


def test_a_run_inside_the_records_spread(folder, tmp_path):
    result = reproduce(folder, tmp_path / "out", tmp_path / "data", seed=314)
    assert (result.seed, result.val_bpb, result.logged_bpb, result.inside) == (314, 1.0804, 1.0803, True)
    assert "; inside the 95 % range" in str(result)


def test_a_run_outside_it(folder, tmp_path):
    (folder / "train_gpt.py").write_text(PROGRAM.replace("SHIFT", "0.01"))
    result = reproduce(folder, tmp_path / "out", tmp_path / "data")
    assert result.inside is False and "NOT inside" in str(result)


def test_one_seed_has_no_spread_to_judge_by(folder, tmp_path):
    for seed in (314, 999):
        (folder / f"train_seed{seed}.log").unlink()
    assert reproduce(folder, tmp_path / "out", tmp_path / "data").inside is None


def test_an_artifact_must_be_the_one_that_was_claimed(folder, tmp_path):
    artifact = tmp_path / "a.ptz"
    artifact.write_bytes(b"weights")
    results = {"42": {"val_bpb": 1.0801, "artifact_sha256": sha256_file(artifact)}}
    (folder / "submission.json").write_text(json.dumps({"seeds": [42, 314, 999], "seed_results": results}))
    scored = reproduce(folder, tmp_path / "out", tmp_path / "data", artifact=artifact)
    assert scored.val_bpb == pytest.approx(2.0802)  # the program saw EVAL_ONLY
    artifact.write_bytes(b"others")
    with pytest.raises(BadInput, match="not the artifact of seed 42"):
        reproduce(folder, tmp_path / "out2", tmp_path / "data", artifact=artifact)


def test_a_program_that_fails_says_why(folder, tmp_path):
    (folder / "train_gpt.py").write_text("raise SystemExit('error: no GPU')")
    with pytest.raises(RunFailed, match="no GPU"):
        reproduce(folder, tmp_path / "out", tmp_path / "data")


@pytest.mark.parametrize(
    ("seed", "data", "said"), [(7, "data", "no seed 7"), (42, "gone", "no data"), (None, "gone", "no data")]
)
def test_bad_input_starts_nothing(folder, tmp_path, seed, data, said):
    with pytest.raises(BadInput, match=said):
        reproduce(folder, tmp_path / "out", tmp_path / data, seed=seed)
    assert not (tmp_path / "out").exists()
