"""`pgolf sweep` and `pgolf ablate` with the real commands: twelve candidates on one artifact, a kill, and one more."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import replay
from seconds import PGOLF, TINY, Made, environment, here

from pgolf.data.dataset import Dataset
from pgolf.record.live import read_live

pytestmark = [pytest.mark.record, pytest.mark.usefixtures("shared_server")]
GRID = ["--grid", "TTT_LR=0.001,0.002,0.005,0.01,0.02,0.05", "--grid", "TTT_EPOCHS=1,2"]
BASE = {"ttt_lr": "0.005", "ttt_epochs": "1"}  # of tiny.toml
# a run as the trainer makes it, but for its score: an artifact that is given is not trained
TRIED = """
    lr, epochs = (float(os.environ.get(name, base)) for name, base in (("TTT_LR", 0.005), ("TTT_EPOCHS", 1)))
    bpb = 2 + 100 * (lr - 0.03) ** 2 - 0.001 * epochs + 0.01 * lr * (int(os.environ["SEED"]) % 7)
    text = re.sub(r'(quantized_ttt.*val_bpb"?: ?)[0-9.]+', lambda found: f"{found[1]}{bpb:.8f}", text)
    if "EVAL_ONLY" in os.environ:
        assert Path(os.environ["EVAL_ONLY"]).stat().st_size
        text = re.sub(".*train_loss.*", "", text)
"""


def command(data: Dataset, runs_dir: Path, *more: str) -> list[str]:
    where = ["--track", str(TINY / "tiny_track.toml"), "--data-dir", str(data.data_dir), "--runs-dir", str(runs_dir)]
    return [PGOLF, "sweep", "--json", "--id", "sweep", *where, *more]


def running(trials: Path) -> bool:
    """Whether a candidate's pod is at work."""
    return any(not p.with_name("exit.json").exists() for p in trials.rglob("pod.json"))


def by_hand() -> dict[tuple[str, str], float]:
    """val_bpb of each point of the grid."""
    grid = [(lr, epochs) for lr in ("0.001", "0.002", "0.005", "0.01", "0.02", "0.05") for epochs in ("1", "2")]
    return {(lr, epochs): 2 + 100 * (float(lr) - 0.03) ** 2 - 0.001 * int(epochs) for lr, epochs in grid}


def test_sweep_of_twelve_survives_a_kill_repeats_nothing_and_ranks_by_score(
    made: Made, tiny_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line, seeds = command(tiny_data, tmp_path, *GRID), made.folder / "seeds"
    how = {"edit": TRIED, "seed": "'42'", "pace_s": 1.0}
    replay.install(seeds, monkeypatch.setattr, **how)
    trials = tmp_path / "sweep" / "trials"
    with (tmp_path / "first.err").open("w") as errors:
        killed = replay.command(seeds, line, **how)
        first = subprocess.Popen(killed, env=environment(), stdout=errors, stderr=errors, start_new_session=True)
    deadline = time.monotonic() + 240
    while len(list(trials.glob("*/*.json"))) < 4 or not running(trials):
        assert first.poll() is None and time.monotonic() < deadline, (tmp_path / "first.err").read_text()
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    pods = {p: p.read_bytes() for p in (tmp_path / "sweep").rglob("pod.json")}

    stopped = read_live(tmp_path / "sweep")
    assert stopped and len(stopped.rows) == 12 and stopped.doing == "candidates"

    code, stdout, stderr = here(line)
    assert code == 0, stderr
    known = re.search(r"12 runs, (\d+) of them known: 12 candidates on 1 seed\n", stderr)
    assert known and int(known[1]) >= 4
    assert "12 runs: 12 candidates on 1 seed\n" in (tmp_path / "first.err").read_text()
    live = read_live(tmp_path / "sweep")
    assert live and [row.state for row in live.rows] == ["done"] * 12 and sum(row.reused for row in live.rows) >= 4
    code, stdout_watch, _ = here([PGOLF, "watch", "sweep", "--runs-dir", str(tmp_path)])
    assert code == 0 and "TTT_EPOCHS=2,TTT_LR=0.02 is chosen of 12 candidates" in stdout_watch
    assert str(tmp_path / "sweep/report/README.md") in stdout_watch
    swept = json.loads(stdout)
    assert swept["tried"] == 12 == len(list(trials.glob("*/*.json")))
    assert not list((tmp_path / "sweep").rglob("attempt-2")), "what ran on without its orchestrator was taken up"
    assert {p: p.read_bytes() for p in pods} == pods
    logs = [p.read_text() for p in (tmp_path / "sweep").rglob("train.log")]
    assert len(logs) == 12 and sum("train_loss" in log for log in logs) == 1, "one training"

    expected = by_hand()
    ranking = [(BASE | trial["settings"], trial["val_bpb"]) for trial in swept["ranking"]]
    ranked = {(settings["ttt_lr"], settings["ttt_epochs"]): val_bpb for settings, val_bpb in ranking}
    assert ranked == pytest.approx(expected, abs=1e-6)
    assert swept["winner"]["settings"] == {"ttt_lr": "0.02", "ttt_epochs": "2"}
    assert min(expected, key=lambda point: expected[point]) == ("0.02", "2")
    report = Path(swept["report"]).read_text()
    assert "12 candidates" in report and "--seeds 42,314,999" in report
    assert swept["p"] is None, "no standing record was scored on this text"
    plan = json.loads((tmp_path / "sweep" / "plan.json").read_text())
    assert plan["seeds"] == [42, 314, 999]

    started = {p: p.read_bytes() for p in trials.rglob("pod.json")}
    code, stdout, stderr = here([*line, "--candidate", "TTT_LR=0.03 TTT_EPOCHS=2"])
    assert code == 0, stderr
    assert json.loads(stdout)["tried"] == 13
    new = [p for p in trials.rglob("pod.json") if p not in started]
    assert len(new) == 1 and {p: p.read_bytes() for p in started} == started


def test_bad_input_starts_nothing(tmp_path: Path) -> None:
    where = ["--track", str(TINY / "tiny_track.toml"), "--runs-dir", str(tmp_path / "runs")]
    code, stdout, stderr = here([PGOLF, "sweep", "--grid", "MATRIX_LR=0.1", *where])
    assert code == 2 and "a sweep trains once" in stderr and stdout == "" and "Traceback" not in stderr
    assert not (tmp_path / "runs").exists()


def test_ablation_of_two_presets(
    made: Made, tiny_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replay.install(made.folder / "seeds", monkeypatch.setattr, edit=TRIED, pace_s=0.0)
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
    code, stdout, stderr = here([PGOLF, "ablate", str(old), str(new), "--id", "ablation", "--json", *where])
    assert code == 0, stderr
    (effect,) = json.loads(stdout)["effects"]
    assert "6 runs: 2 candidates on 3 seeds\n" in stderr
    assert effect["label"] == "TTT_LR=0.05" and effect["n"] == 3 and effect["gain"] > 0
    trained = [p for p in (tmp_path / "ablation").rglob("train.log") if "train_loss" in p.read_text()]
    assert len(trained) == 3, "one training a seed, whatever is tried of it"
    assert "which change brought what" in (tmp_path / "ablation/report/README.md").read_text()
