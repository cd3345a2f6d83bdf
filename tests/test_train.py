"""`pgolf train`: the unpacked trainer in the foreground."""

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from seconds import PGOLF, TINY, environment

from pgolf import presets
from pgolf.data.dataset import Dataset
from pgolf.train import _check_pace

pytestmark = pytest.mark.training


def train(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [PGOLF, "train", *arguments]
    env = environment() | {"CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, timeout=300)


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
    size = (tmp_path / "here" / "train_gpt.py").stat().st_size  # the packed file, which would be submitted
    assert f"Code size: {size} bytes" in done.stdout and events[0]["code_bytes"] == size


@pytest.mark.parametrize("settings", [{}, {"TRAIN_BATCH_TOKENS": "786432"}])
def test_a_preset_for_gpus_is_refused_at_once_where_there_is_none(settings: dict[str, str], tmp_path: Path) -> None:
    given = [word for pair in settings.items() for word in ("--set", "=".join(pair))]
    done = train("--preset", "pr1812", "--nproc", "8", "--data-dir", "missing", *given, cwd=tmp_path)
    assert done.returncode == 2
    assert "--preset pr1812 is for GPUs, and this machine has none: a step of 786,432 tokens takes at" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not list(tmp_path.iterdir())


def test_a_missing_dataset_is_named_with_the_command_that_fetches_it(tmp_path: Path) -> None:
    where = ["--data-dir", str(tmp_path / "missing")]
    done = train("--preset", "pr1812", "--set", "MAX_WALLCLOCK_SECONDS=0", *where, cwd=tmp_path)
    command = f"`pgolf data fineweb --variant sp8192 --repo OWNER/NAME --out {tmp_path / 'missing'}`"
    assert done.returncode == 2 and command in done.stderr
    assert f"{tmp_path / 'missing'}: neither it nor a folder" in done.stderr
    assert "datasets/fineweb10B_sp8192" in done.stderr


def test_a_long_training_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    knobs = presets.load("smoke")
    smoke = presets.config_of(knobs)
    assert _check_pace(knobs, smoke, "smoke") == ""
    said = _check_pace(knobs, replace(smoke, iterations=10**9), "smoke")
    assert re.fullmatch(r"; without a GPU, 1,000,000,000 steps take at least [\d,]+ days, and evaluation .*", said)


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
