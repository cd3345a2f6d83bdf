"""A local pod with plain commands: real processes, real signals."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pgolf.pods.local import LocalPod


def wait_for(condition, seconds: float = 30.0):
    """The first true value of `condition()`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
    return value


def ended(pod: LocalPod) -> int | None:
    wait_for(lambda: pod.status().state == "ended")
    return pod.status().exit_code


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_life_of_a_pod(tmp_path: Path) -> None:
    source = tmp_path / "program.py"
    source.write_text("import os; print('hello', os.environ['SEED']); open('out', 'w').write('x'); exit(3)")
    pod = LocalPod(tmp_path / "pod")
    assert pod.status().state == "fresh"
    pod.put(source, "train_gpt.py")
    pod.start([sys.executable, "train_gpt.py"], {"SEED": "42"})
    assert ended(pod) == 3
    assert not pod.status().infrastructure
    assert pod.output(0)[0] == "hello 42\n"
    assert pod.fetch()["out"] == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    with pytest.raises(RuntimeError, match="already"):
        pod.start(["true"], {})


def test_a_pod_begins_by_the_clock_that_it_ends_by(tmp_path: Path) -> None:
    pod, before = LocalPod(tmp_path), time.time()
    pod.start(["true"], {})
    assert ended(pod) == 0
    status = pod.status()
    assert before <= status.started <= status.ended <= time.time()


@pytest.mark.parametrize(("exactly", "said"), [(1000.5, 1000.5), (5000.0, 1000.0), ("x", 1000.0), (1e300, 1000.0)])
def test_a_command_cannot_move_its_own_beginning(exactly: object, said: float, tmp_path: Path) -> None:
    (tmp_path / "pod.json").write_text(json.dumps({"pid": 4194304, "started": 1000.0, "began": exactly}))
    assert LocalPod(tmp_path).status().started == said


def test_files_of_a_program_may_lie_in_folders(tmp_path: Path) -> None:
    (tmp_path / "hello.sh").write_text("#!/bin/sh\necho hello\n")
    pod = LocalPod(tmp_path / "pod")
    pod.put(tmp_path / "hello.sh", "tools/hello.sh")
    pod.start(["tools/hello.sh"], {})
    assert ended(pod) == 0
    assert pod.output(0)[0] == "hello\n"


def test_command_gets_no_knob_and_no_secret_of_the_shell(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TTT_EPOCHS", "99")
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    pod = LocalPod(tmp_path)
    pod.start(python("import os; print(sorted(os.environ))"), {"SEED": "1"})
    ended(pod)
    text, _ = pod.output(0)
    assert "SEED" in text
    assert "PATH" in text
    assert "TTT_EPOCHS" not in text
    assert "WANDB_API_KEY" not in text


def test_output_from_an_offset_never_cuts_a_character(tmp_path: Path) -> None:
    pod = LocalPod(tmp_path)
    whole = "loss → 3.25 ✓\n".encode()
    text, offset = "", 0
    for end in range(len(whole) + 1):  # the file grows byte by byte under the reader
        (tmp_path / "train.log").write_bytes(whole[:end])
        more, offset = pod.output(offset)
        text += more
    assert text == whole.decode()
    assert offset == len(whole)


def test_output_comes_in_parts_that_lose_nothing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("pgolf.pods.local.READ_AT_ONCE", 7)
    (tmp_path / "train.log").write_text("loss → 3.25 ✓\n" * 5)
    text, offset = "", 0
    while part := LocalPod(tmp_path).output(offset):
        if not part[0]:
            break
        assert len(part[0].encode()) <= 7
        text, offset = text + part[0], part[1]
    assert text == "loss → 3.25 ✓\n" * 5


@pytest.mark.parametrize("name", ["events.jsonl", "exit.json", "pod.json"])
@pytest.mark.parametrize(
    "put", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), os.mkdir], ids=["pipe", "link", "dir"]
)
def test_thing_in_a_files_place_is_not_waited_for(tmp_path: Path, name: str, put) -> None:
    put(tmp_path / name)
    pod = LocalPod(tmp_path)
    assert pod.output(0, name) == ("", 0)
    assert pod.status().state == ("lost" if name == "pod.json" else "fresh")


@pytest.mark.parametrize(
    "content", ["[", "[" * 100_000, "[1]", '{"pid": "x", "started": []}', '{"pid": -1, "started": 1}']
)
def test_command_that_writes_over_its_pods_files_is_lost(tmp_path: Path, content: str) -> None:
    for name in ("pod.json", "exit.json"):
        (tmp_path / name).write_text(content)
    assert LocalPod(tmp_path).status().state == "lost"


def test_command_that_does_not_exist_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    pod = LocalPod(tmp_path)
    pod.start(["/no/such/program"], {})
    assert ended(pod) == 127
    assert "/no/such/program" in pod.output(0)[0]


def test_kill_ends_children_in_other_sessions_and_records_the_signal(tmp_path: Path) -> None:
    pod = LocalPod(tmp_path)
    grandchild = "import subprocess; p = subprocess.Popen(['sleep', '300'], start_new_session=True); "
    pod.start(python(grandchild + "open('pid', 'w').write(str(p.pid)); p.wait()"), {})
    pid = int(wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    pod.kill()
    assert pod.status().exit_code == -signal.SIGTERM
    assert pod.status().infrastructure
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_kill_ends_a_command_that_ignores_sigterm(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("pgolf.pods.local.GRACE_S", 2.0)
    pod = LocalPod(tmp_path)
    ignoring = "import signal, time; signal.signal(15, signal.SIG_IGN); open('up', 'w'); time.sleep(300)"
    pod.start(python(ignoring), {})
    wait_for((tmp_path / "up").exists)
    pod.kill()
    assert pod.status().exit_code == -signal.SIGKILL


def test_command_that_ends_orderly_when_told_to_did_not_fail_by_itself(tmp_path: Path) -> None:
    pod = LocalPod(tmp_path)
    orderly = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(1)); open('up', 'w'); time.sleep(300)"
    pod.start(python(orderly), {})
    wait_for((tmp_path / "up").exists)
    pod.kill()
    assert pod.status().exit_code == 1
    assert pod.status().infrastructure


def test_command_outlives_its_starter_and_is_adopted(tmp_path: Path) -> None:
    start = (
        "import sys, pathlib, time; from pgolf.pods.local import LocalPod; "
        f"LocalPod(pathlib.Path({str(tmp_path)!r})).start(['sh', '-c', 'sleep 2; echo done; exit 5'], {{}}); "
        "open('started', 'w'); time.sleep(300)"
    )
    starter = subprocess.Popen(python(start), cwd=tmp_path)
    wait_for((tmp_path / "started").exists)
    starter.kill()
    starter.wait()
    adopted = LocalPod(tmp_path)
    assert adopted.status().state == "running"
    assert ended(adopted) == 5
    assert adopted.output(0)[0] == "done\n"


def test_pid_of_another_process_is_not_adopted(tmp_path: Path) -> None:
    mine = psutil.Process()
    (tmp_path / "pod.json").write_text(json.dumps({"pid": mine.pid, "started": mine.create_time() - 60}))
    assert LocalPod(tmp_path).status().state == "lost"
    assert LocalPod(tmp_path).status().infrastructure


def test_killed_supervisor_is_lost_and_kill_still_finds_its_orphan(tmp_path: Path) -> None:
    pod = LocalPod(tmp_path)
    pod.start(python("import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(300)"), {})
    pid = int(wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    os.kill(json.loads((tmp_path / "pod.json").read_text())["pid"], signal.SIGKILL)
    wait_for(lambda: pod.status().state == "lost")
    assert psutil.pid_exists(pid)
    pod.kill()
    wait_for(lambda: not psutil.pid_exists(pid))


FORGES = (
    "import json, time\n"
    "json.dump({'exit_code': 0, 'signals': [], 'ended': time.time(), 'disk_free': 1 << 40}, open('exit.json', 'w'))\n"
    "open('up', 'w')\ntime.sleep(300)"
)


def test_command_that_says_itself_that_it_has_ended_still_runs(tmp_path: Path) -> None:
    pod = LocalPod(tmp_path)
    pod.start(python(FORGES), {})
    wait_for((tmp_path / "up").exists)
    assert pod.status().state == "running"
    pod.kill()
    assert pod.status().exit_code == -signal.SIGTERM


def test_files_that_a_pod_elsewhere_would_keep_are_not_hashed(tmp_path: Path, monkeypatch, caplog) -> None:
    monkeypatch.setattr("pgolf.pods.answers.FILE_MOST", 1000)
    pod = LocalPod(tmp_path)
    make = (
        "import os; open('model.ptz', 'w').write('x'); open('cache', 'w').truncate(1001); os.symlink('/dev/zero', 'l')"
    )
    pod.start(python(make + "; open('place.json', 'w').write('{}'); open('result.json', 'w').truncate(2 << 20)"), {})
    assert ended(pod) == 0
    assert pod.fetch().keys() == {"pod.json", "exit.json", "train.log", "supervisor.err", "model.ptz", "place.json"}
    assert "not hashed: 2 files, cache, result.json" in caplog.text
