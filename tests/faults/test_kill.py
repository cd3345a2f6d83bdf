"""What a record survives: its orchestrator killed, told to stop, or started twice; a trainer killed under it. Its seeds
replay those of the record that was made."""

import contextlib
import json
import logging
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import replay
from fakes.programs import PROGRAMS, bad_program
from living import of_pod, wait_for
from seconds import PREFECT_HOME, Made, environment, record_command, record_here

from pgolf.data.dataset import Dataset

pytestmark = pytest.mark.record


def servers() -> list[psutil.Process]:
    """The live Prefect servers of these tests."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get("PREFECT_HOME") == PREFECT_HOME.name and "pgolf.flows.server" in process.cmdline():
                found.append(process)
    return found


@contextlib.contextmanager
def started(command: list[str], stderr: Path) -> Iterator[subprocess.Popen[str]]:
    """The command, running, with a record folder of its own; killed at the end if it still runs."""
    with stderr.open("w") as errors:
        process = subprocess.Popen(
            command, env=environment(), stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def frozen(
    made: Made, tmp_path: Path, tiny_track: Path, tiny_data: Dataset
) -> Iterator[tuple[list[str], Path, subprocess.Popen[str]]]:
    """A record in the middle of its second seed, whose trainer stands still: the command, the attempt, the process."""
    command = record_command(tiny_track, tiny_data, tmp_path, "--no-probe", "--parallel", "1", "--id", "killed")
    command = [*replay.command(made.folder / "seeds", command), "--foreground"]
    attempt = tmp_path / "killed" / "seeds" / "314" / "attempt-1"
    with started(command, tmp_path / "first.err") as process:
        wait_for((attempt / "events.jsonl").exists, process)
        for trainer in of_pod(attempt):
            trainer.suspend()
        try:
            yield command, attempt, process
        finally:
            for trainer in of_pod(attempt):
                trainer.kill()


def test_kill_9_in_the_middle_of_seed_2(frozen, made: Made, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    command, attempt, process = frozen
    pod = (attempt / "pod.json").read_text()
    first = (tmp_path / "killed/seeds/42/attempt-1/pod.json").read_text()
    process.kill()
    process.wait()
    wait_for(lambda: not servers())  # it ends with its parent
    orphan = {p.pid for p in of_pod(attempt)}
    assert json.loads(pod)["pid"] in orphan

    request.getfixturevalue("shared_server")  # the first had one of its own, whose end is part of this
    with started(command, tmp_path / "second.err") as again:
        wait_for(
            lambda: "seed 314: still running since before, taken up" in (tmp_path / "second.err").read_text(), again
        )
        assert {p.pid for p in of_pod(attempt)} == orphan
        for trainer in of_pod(attempt):
            trainer.resume()
        stdout, _ = again.communicate(timeout=300)
    assert again.returncode == 0, (tmp_path / "second.err").read_text()
    assert (attempt / "pod.json").read_text() == pod
    assert (tmp_path / "killed/seeds/42/attempt-1/pod.json").read_text() == first
    assert not list(tmp_path.glob("killed/seeds/*/attempt-2"))
    assert "seed 42: reused" in (tmp_path / "second.err").read_text()
    outcome = json.loads(stdout)
    assert [s["val_bpb"] for s in outcome["seeds"]] == [s["val_bpb"] for s in made.outcome["seeds"]]
    assert outcome["comparison"]["verdict"] == made.outcome["comparison"]["verdict"]


def test_told_to_stop_it_ends_every_child_and_keeps_what_is_finished(frozen, tmp_path: Path) -> None:
    _, attempt, process = frozen
    for trainer in of_pod(attempt):
        trainer.resume()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert not of_pod(attempt)
    wait_for(lambda: not servers())
    stderr = (tmp_path / "first.err").read_text()
    assert "start the same command again to go on" in stderr
    assert "Traceback" not in stderr
    assert json.loads((attempt / "exit.json").read_text())["signals"] == [signal.SIGTERM]
    assert (tmp_path / "killed/seeds/42/attempt-1/final_model.int6.ptz").exists()
    kept = {p.name.rsplit("-", 1)[0] for p in (tmp_path / "killed" / "results").glob("*-*")}
    assert kept == {"preflight", "seed-42"}


@pytest.mark.usefixtures("shared_server")
def test_ctrl_c_during_preflight_leaves_nothing_running(
    made: Made, tiny_track: Path, tiny_data: Dataset, tmp_path: Path
) -> None:
    command = record_command(tiny_track, tiny_data, tmp_path, "--no-probe", "--id", "stopped")
    command = [*replay.command(made.folder / "seeds", command), "--foreground"]
    trial = tmp_path / "stopped" / "preflight" / "42" / "attempt-1"
    with started(command, tmp_path / "err") as process:
        wait_for((trial / "pod.json").exists, process)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 128 + signal.SIGINT
    assert not of_pod(trial)
    assert "Traceback" not in (tmp_path / "err").read_text()
    assert not (tmp_path / "stopped" / "seeds").exists()


@pytest.mark.usefixtures("shared_server")
def test_killed_trainer_is_another_attempt_that_is_listed(frozen, tmp_path: Path) -> None:
    _, attempt, process = frozen
    supervisor = json.loads((attempt / "pod.json").read_text())["pid"]
    for trainer in of_pod(attempt):
        if trainer.pid != supervisor:
            trainer.kill()
    os.kill(supervisor, signal.SIGCONT)
    stdout, _ = process.communicate(timeout=300)
    assert process.returncode == 0, (tmp_path / "first.err").read_text()
    path = Path(json.loads(stdout)["path"])
    assert (attempt.parent / "attempt-2" / "final_model.int6.ptz").exists()
    assert "SIGKILL" in (path / "README.md").read_text()


class Opens(logging.Handler):
    """Keeps what the log says, and lets a program that waits for `gate` go on once it has been taken up."""

    def __init__(self, gate: Path) -> None:
        super().__init__()
        self.gate, self.said = gate, list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
        if "taken up" in self.said[-1]:
            self.gate.touch()


@pytest.mark.usefixtures("shared_server")
@pytest.mark.parametrize(
    ("orphan", "how_taken"),
    [
        ("works on", "seed 314: still running since before, taken up (attempt-1)"),
        ("has ended", "seed 314: reused, ended before (attempt-1)"),
        ("is gone, too", "seed 314: started (attempt-2)"),
    ],
)
def test_kill_9_in_the_middle_of_seed_2_of_a_users_program(
    orphan: str, how_taken: str, tiny_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, gate = bad_program(tmp_path / "mine"), tmp_path / "gate"
    settings = ("MISCHIEF=waits", "ONLY_SEED=314", f"WAITS_FOR={gate}")
    how = [word for setting in settings for word in ("--set", setting)]
    how += ["--program", str(mine), "--against", "9.0,9.1,9.05", "--parallel", "1", "--id", "killed", "--no-probe"]
    how += ["--foreground"]
    seeds = tmp_path / "killed" / "seeds"
    attempt, log = seeds / "314/attempt-1", seeds / "314/attempt-1/train.log"
    with started(record_command(PROGRAMS / "track.toml", tiny_data, tmp_path, *how), tmp_path / "first.err") as process:
        wait_for(lambda: log.exists() and "roundtrip_exact" in log.read_text(), process)
        process.kill()
        process.wait()
    pods = [(seeds / f"{seed}/attempt-1/pod.json").read_text() for seed in (42, 314)]
    left = of_pod(attempt)
    assert json.loads(pods[1])["pid"] in [p.pid for p in left]
    if orphan == "is gone, too":
        for trainer in left:
            trainer.kill()
    if orphan != "works on":
        gate.touch()
    if orphan == "has ended":
        wait_for((attempt / "exit.json").exists)
    monkeypatch.setattr(logging.getLogger("pgolf.record.seeds"), "handlers", [opener := Opens(gate)])
    code, again, stderr = record_here(PROGRAMS / "track.toml", tiny_data, tmp_path, *how)
    assert again, stderr
    assert [(s["seed"], s["val_bpb"]) for s in again.outcome["seeds"]] == [(42, 1.942), (314, 2.214), (999, 2.899)]
    assert again.outcome["comparison"]["verdict"]
    assert code == int(not again.outcome["positive"])
    assert "seed 42: reused" in stderr
    assert [(seeds / f"{seed}/attempt-1/pod.json").read_text() for seed in (42, 314)] == pods
    second = list(seeds.glob("*/attempt-2"))
    assert second == ([seeds / "314/attempt-2"] if orphan == "is gone, too" else [])
    assert how_taken in opener.said
    rows = [line.split(" | ")[:3] for line in (Path(again.outcome["path"]) / "README.md").read_text().splitlines()]
    assert ["| 314", "1", "lost" if second else "finished"] in rows
