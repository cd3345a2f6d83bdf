"""Seeds on local pods, with small programs in the trainer's place."""

import json
import threading
import time
from pathlib import Path

import jobs
import pytest

from pgolf.errors import RunFailed
from pgolf.pods.local import LocalPod
from pgolf.record.job import Job
from pgolf.record.progress import Progress
from pgolf.record.seeds import Stopped, TakenDown, attempts, run_seed

FINISHES = """
import json, os
with open("events.jsonl", "w") as f:
    for event in ({"t": 1, "event": "train", "step": 3, "iterations": 4, "train_loss": 5.5}, {"t": 2, "event": "end"}):
        print(json.dumps(event), file=f)
open("ran", "a").write(os.environ["SEED"])
"""
SLEEPS = "import time; open('up', 'w'); time.sleep(300)"


def job(tmp_path: Path, program: str, **options) -> Job:
    return jobs.job(tmp_path / "seeds", program, **options)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.02)


def test_finished_seed_is_not_run_again(tmp_path: Path) -> None:
    seen: list[Progress] = []
    this = job(tmp_path, FINISHES)
    first = run_seed(this, 42, threading.Event(), seen.append)
    second = run_seed(this, 42, threading.Event())
    assert first == second
    assert (first.folder / "ran").read_text() == "42"
    assert first.files["ran"] == "73475cb40a568e8da8a045ced110137e159f890ac4da883b6b17dc651b3a8049"
    assert (seen[-1].stage, seen[-1].loss) == ("done", 5.5)
    assert [a.outcome for a in attempts(tmp_path, [42, 314])] == ["finished"]


def test_failed_seed_stays_failed_and_gives_its_reason(tmp_path: Path) -> None:
    this = job(tmp_path, "print('error: loss is not finite at step 7'); open('ran', 'a').write('x'); exit(1)")
    for _ in range(2):
        with pytest.raises(RunFailed, match="loss is not finite at step 7"):
            run_seed(this, 42, threading.Event())
    assert (tmp_path / "seeds/42/attempt-1/ran").read_text() == "x"
    (attempt,) = attempts(tmp_path, [42])
    assert (attempt.outcome, attempt.exit_code) == ("failed", 1)
    assert "step 7" in (attempt.reason or "")


def test_stop_ends_the_run_and_the_next_start_is_another_attempt(tmp_path: Path) -> None:
    stop = threading.Event()
    seed_folder = tmp_path / "seeds" / "42"
    threading.Thread(target=lambda: (wait_for(seed_folder / "attempt-1" / "up"), stop.set())).start()
    with pytest.raises(Stopped):
        run_seed(job(tmp_path, SLEEPS), 42, stop)
    assert LocalPod(seed_folder / "attempt-1").status().state == "ended"
    assert run_seed(job(tmp_path, FINISHES), 42, threading.Event()).folder.name == "attempt-2"
    assert [a.outcome for a in attempts(tmp_path, [42])] == ["stopped", "finished"]


def test_a_full_disk_makes_no_further_attempt_until_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgolf.record.seeds.full_disk", lambda folder: f"the disk of {folder} is full")
    with pytest.raises(RunFailed, match="is full; free some, and the same command goes on") as found:
        run_seed(job(tmp_path, "import os; os.kill(os.getpid(), 9)"), 42, threading.Event())
    assert not isinstance(found.value, TakenDown)
    monkeypatch.undo()
    assert run_seed(job(tmp_path, FINISHES), 42, threading.Event()).folder.name == "attempt-2"


def test_run_that_someone_else_killed_may_be_started_again(tmp_path: Path) -> None:
    with pytest.raises(TakenDown, match="SIGKILL"):
        run_seed(job(tmp_path, "import os; os.kill(os.getpid(), 9)"), 42, threading.Event())
    assert run_seed(job(tmp_path, FINISHES), 42, threading.Event()).folder.name == "attempt-2"


def test_nothing_is_started_once_the_record_stops(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped, match="not started"):
        run_seed(job(tmp_path, FINISHES), 42, stop)
    assert not attempts(tmp_path, [42])


def test_log_that_comes_a_byte_at_a_time_does_not_keep_a_record_from_stopping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, this = threading.Event(), jobs.job(tmp_path / "seeds", "print('done')")
    done = run_seed(this, 42, stop)
    read: list[int] = []

    def dribble(pod: LocalPod, offset: int, name: str = "train.log") -> tuple[str, int]:
        read.append(offset)
        if len(read) == 10:
            stop.set()
        assert len(read) < 20
        return "x", offset + 1

    monkeypatch.setattr(LocalPod, "output", dribble)
    assert run_seed(this, 42, stop) == done


def test_running_seed_is_taken_up_not_doubled(tmp_path: Path) -> None:
    waits = (
        "import os, time\nwhile not os.path.exists('go'): time.sleep(0.02)\nopen('pids', 'a').write(f'{os.getpid()} ')"
    )
    this = job(tmp_path, waits)
    folder = tmp_path / "seeds" / "42" / "attempt-1"
    other = LocalPod(folder)
    other.put(this.source / "train_gpt.py", "train_gpt.py")
    other.start(this.program.start(this.nproc), {"SEED": "42"})
    pod_before = json.loads((folder / "pod.json").read_text())
    (folder / "go").touch()
    assert run_seed(this, 42, threading.Event()).folder == folder
    assert len((folder / "pids").read_text().split()) == 1
    assert json.loads((folder / "pod.json").read_text()) == pod_before


def test_trial_that_failed_may_be_tried_again(tmp_path: Path) -> None:
    with pytest.raises(RunFailed):
        run_seed(job(tmp_path, "exit(1)", retry_failed=True), 42, threading.Event())
    assert run_seed(job(tmp_path, FINISHES, retry_failed=True), 42, threading.Event()).folder.name == "attempt-2"


def test_several_ranks_are_started_by_torchrun(tmp_path: Path) -> None:
    this = job(tmp_path, FINISHES, nproc=8)
    assert this.program.start(this.nproc)[1:] == [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=8",
        "train_gpt.py",
    ]


def test_run_that_ends_by_a_signal_without_a_name_is_described(tmp_path: Path) -> None:
    with pytest.raises(TakenDown, match="ended by signal 35"):
        run_seed(job(tmp_path, "import os; os.kill(os.getpid(), 35)"), 42, threading.Event())


def test_rank_that_a_signal_ended_is_named_in_place_of_the_launchers_frame(tmp_path: Path) -> None:
    aborts = "import os, time; os.abort() if os.environ['RANK'] == '0' else time.sleep(60)"
    with pytest.raises(RunFailed, match=r"exit code 1: Signal 6 \(SIGABRT\) received by PID"):
        run_seed(job(tmp_path, aborts, nproc=2), 42, threading.Event())
