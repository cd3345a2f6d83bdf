"""`pgolf sweep` and `pgolf ablate` with the real commands: twelve candidates on one artifact, a kill, and one more."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from seconds import PGOLF, TINY, environment

from pgolf import presets
from pgolf.artifact import eval_knobs, evaluate_artifact, in_folder, open_artifact
from pgolf.data.dataset import Dataset

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_server")]
# only test-time training tells them apart, so nothing else is scored
FAST = ["--set", "SLIDING_WINDOW_ENABLED=0", "--set", "EVAL_STRIDE=128"]
GRID = ["--grid", "TTT_LR=0.001,0.002,0.005,0.01,0.02,0.05", "--grid", "TTT_EPOCHS=1,2"]


def command(data: Dataset, runs_dir: Path, *more: str) -> list[str]:
    where = ["--track", str(TINY / "tiny_track.toml"), "--data-dir", str(data.data_dir), "--runs-dir", str(runs_dir)]
    return [PGOLF, "sweep", "--json", "--id", "sweep", *where, *FAST, *more]


def run(command: list[str]) -> tuple[int, str, str]:
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=500)
    return done.returncode, done.stdout, done.stderr


def running(trials: Path) -> bool:
    """Whether a candidate's pod is at work."""
    return any(not p.with_name("exit.json").exists() for p in trials.rglob("pod.json"))


def by_hand(artifact: Path, data: Dataset) -> dict[tuple[str, str], float]:
    """val_bpb of each point of the grid, from a plain loop over the evaluator."""
    scores = {}
    for lr in ("0.001", "0.002", "0.005", "0.01", "0.02", "0.05"):
        for epochs in ("1", "2"):
            preset = presets.load(str(TINY / "tiny.toml"))
            chunk = str(preset["ttt_chunk_tokens"])
            settings = {"ttt_lr": lr, "ttt_epochs": epochs, "eval_stride": "128", "ttt_chunk_tokens": chunk}
            opened = in_folder(open_artifact(artifact, eval_knobs(None, settings, "cpu")), data.data_dir)
            scores[lr, epochs] = evaluate_artifact(opened, "ttt").val_bpb
    return scores


def test_sweep_of_twelve_survives_a_kill_repeats_nothing_and_picks_the_winner_of_a_plain_loop(
    tiny_data: Dataset, tmp_path: Path
) -> None:
    line = command(tiny_data, tmp_path, *GRID)
    trials = tmp_path / "sweep" / "trials"
    with (tmp_path / "first.err").open("w") as errors:
        first = subprocess.Popen(line, env=environment(), stdout=errors, stderr=errors, start_new_session=True)
    deadline = time.monotonic() + 240
    while len(list(trials.glob("*/*.json"))) < 4 or not running(trials):
        assert first.poll() is None and time.monotonic() < deadline, (tmp_path / "first.err").read_text()
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    pods = {p: p.read_bytes() for p in (tmp_path / "sweep").rglob("pod.json")}

    code, stdout, stderr = run(line)
    assert code == 0, stderr
    swept = json.loads(stdout)
    assert swept["tried"] == 12 == len(list(trials.glob("*/*.json")))
    assert not list((tmp_path / "sweep").rglob("attempt-2")), "what ran on without its orchestrator was taken up"
    assert {p: p.read_bytes() for p in pods} == pods
    logs = [p.read_text() for p in (tmp_path / "sweep").rglob("train.log")]
    assert len(logs) == 12 and sum("train_loss" in log for log in logs) == 1, "one training"

    artifact = tmp_path / "sweep/base/1337/attempt-1/final_model.int6.ptz"
    expected = by_hand(artifact, tiny_data)
    base = {"ttt_lr": "0.005", "ttt_epochs": "1"}
    found = {
        (t["settings"].get("ttt_lr", base["ttt_lr"]), t["settings"].get("ttt_epochs", base["ttt_epochs"])): t["val_bpb"]
        for t in swept["ranking"]
    }
    assert found == pytest.approx(expected, abs=1e-6)
    best = min(expected, key=lambda k: expected[k])
    assert swept["winner"]["settings"] == {
        k: v for k, v in zip(("ttt_lr", "ttt_epochs"), best, strict=True) if v != base[k]
    }
    report = Path(swept["report"]).read_text()
    assert "12 candidates" in report and "--seeds 42,314,999" in report
    assert swept["p"] is None, "no standing record was scored on this text"
    plan = json.loads((tmp_path / "sweep" / "plan.json").read_text())
    assert plan["seeds"] == [42, 314, 999]

    started = {p: p.read_bytes() for p in trials.rglob("pod.json")}
    code, stdout, stderr = run([*line, "--candidate", "TTT_LR=0.03 TTT_EPOCHS=2"])
    assert code == 0, stderr
    assert json.loads(stdout)["tried"] == 13
    new = [p for p in trials.rglob("pod.json") if p not in started]
    assert len(new) == 1 and {p: p.read_bytes() for p in started} == started


def test_bad_input_starts_nothing(tmp_path: Path) -> None:
    where = ["--track", str(TINY / "tiny_track.toml"), "--runs-dir", str(tmp_path / "runs")]
    code, stdout, stderr = run([PGOLF, "sweep", "--grid", "MATRIX_LR=0.1", *where])
    assert code == 2 and "a sweep trains once" in stderr and stdout == "" and "Traceback" not in stderr
    assert not (tmp_path / "runs").exists()


def test_ablation_of_two_presets(tiny_data: Dataset, tmp_path: Path) -> None:
    old, new = tmp_path / "old.toml", tmp_path / "new.toml"
    old.write_text(f'extends = "{TINY / "tiny_base.toml"}"\n[knobs]\nsliding_window_enabled = false\n')
    new.write_text('extends = "old.toml"\n[knobs]\nttt_lr = 0.05\n')
    where = [
        "--track",
        str(TINY / "tiny_track.toml"),
        "--data-dir",
        str(tiny_data.data_dir),
        "--runs-dir",
        str(tmp_path),
    ]
    code, stdout, stderr = run([PGOLF, "ablate", str(old), str(new), "--id", "ablation", "--json", *where])
    assert code == 0, stderr
    (effect,) = json.loads(stdout)["effects"]
    assert effect["label"] == "TTT_LR=0.05" and effect["n"] == 3 and effect["gain"] > 0
    trained = [p for p in (tmp_path / "ablation").rglob("train.log") if "train_loss" in p.read_text()]
    assert len(trained) == 3, "one training a seed, whatever is tried of it"
    assert "which change brought what" in (tmp_path / "ablation/report/README.md").read_text()
