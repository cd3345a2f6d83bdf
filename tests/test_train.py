"""`pgolf train`: the unpacked trainer in the foreground."""

import json
import subprocess
from pathlib import Path

import pytest
from seconds import PGOLF, TINY, environment

from pgolf.data.dataset import Dataset

pytestmark = pytest.mark.training


def train(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [PGOLF, "train", *arguments]
    return subprocess.run(command, env=environment(), cwd=cwd, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("nproc", [1, 2])
def test_it_trains_and_scores_in_a_folder(nproc: int, tiny_data: Dataset, tmp_path: Path) -> None:
    where = ["--data-dir", str(tiny_data.data_dir), "--folder", "here", "--nproc", str(nproc)]
    done = train("--preset", str(TINY / "tiny.toml"), "--set", "TTT_ENABLED=0", *where, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in (tmp_path / "here" / "events.jsonl").read_text().splitlines()]
    assert events[0]["world_size"] == nproc
    assert events[0]["config"]["model_dim"] == 64
    assert [e["stage"] for e in events if e["event"] == "stage"][-1] == "quantized_sliding_window"
    assert "val_bpb" in done.stdout


def test_dataset_of_another_vocabulary_is_bad_input(tiny_data: Dataset, tmp_path: Path) -> None:
    done = train("--preset", "smoke", "--data-dir", str(tiny_data.data_dir), cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "nproc", "said"),
    [
        (["GRAD_ACCUM_STEPS=0"], 3, "3 ranks do not divide 8"),
        (["GRAD_ACCUM_STEPS=-1"], 1, "GRAD_ACCUM_STEPS -1 is below 0"),
        ([], 3, "TRAIN_BATCH_TOKENS 1024 is no multiple of 3 ranks"),
        (["TRAIN_BATCH_TOKENS=2048"], 16, "8 training files for 16 ranks"),
        (["TRAIN_SEQ_LEN=65536", "TRAIN_BATCH_TOKENS=131072"], 2, "no training file of rank 0 of 2 holds 65537 tokens"),
    ],
)
def test_ranks_that_do_not_divide_are_refused_before_they_start(
    settings: list[str], nproc: int, said: str, tiny_data: Dataset, tmp_path: Path
) -> None:
    given = [word for setting in settings for word in ("--set", setting)]
    where = ["--data-dir", str(tiny_data.data_dir), "--nproc", str(nproc)]
    done = train("--preset", str(TINY / "tiny.toml"), *given, *where, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_knob_of_the_environment_is_checked_too(tiny_data: Dataset, tmp_path: Path) -> None:
    command = [PGOLF, "train", "--preset", str(TINY / "tiny.toml"), "--data-dir", str(tiny_data.data_dir)]
    env = {**environment(), "DATA_SEED": "one"}
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (2, "pgolf: the environment: knob data_seed: 'one' is not a valid int\n")
    assert not list(tmp_path.iterdir())
