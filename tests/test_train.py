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
