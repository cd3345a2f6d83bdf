"""The supervisor of a pod elsewhere, run here: a process that answers in JSON."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from pgolf.pods import agent


def test_agent_believes_no_exit_json_while_the_supervisor_lives(tmp_path: Path) -> None:
    ending = {"exit_code": 0, "signals": [], "ended": 1.0, "disk_free": 1 << 40}
    (tmp_path / "exit.json").write_text(json.dumps(ending))
    (tmp_path / "pod.json").write_text(json.dumps({**(agent.identity(os.getpid()) or {}), "started": 1.0}))
    assert agent.status(str(tmp_path))["state"] == "running"
    (tmp_path / "pod.json").write_text(json.dumps({"pid": 1 << 30, "started": 1.0}))
    assert agent.status(str(tmp_path)) == {
        "state": "ended", "exit_code": 0, "started": 1.0, "ended": 1.0, "interrupted": False, "disk_full": False,
    }  # fmt: skip


def ask(action: str, folder: Path, given: Any = None) -> Any:
    """What the agent answers, with a home of its own."""
    command = [sys.executable, agent.__file__, action, str(folder)]
    home = os.environ | {"HOME": str(folder.parent)}
    done = subprocess.run(command, input=json.dumps(given), env=home, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_agent_ends_processes_that_have_an_environment_of_their_own(tmp_path: Path) -> None:
    code = "import subprocess, time; p = subprocess.Popen(['sleep', '300'], env={}, start_new_session=True); "
    code += "open('pid', 'w').write(str(p.pid)); open('up', 'w'); time.sleep(300)"
    folder = tmp_path / "pod"
    assert ask("start", folder, {"command": [sys.executable, "-c", code], "env": {}})["state"] == "running"
    deadline = time.monotonic() + 30
    while not (folder / "up").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    sleeper = psutil.Process(int((folder / "pid").read_text()))
    ask("kill", folder)
    assert not sleeper.is_running() or sleeper.status() == psutil.STATUS_ZOMBIE
    assert ask("status", folder)["interrupted"]


def test_files_of_a_run_are_on_the_disk_before_exit_json_is(tmp_path: Path) -> None:
    """Else a power cut leaves a finished seed whose artifact is empty."""
    watched = """
import os, sys
from pgolf.pods import agent
fsync = os.fsync
def told(fd):
    print(os.path.basename(os.readlink(f"/proc/self/fd/{fd}")), os.path.exists("exit.json"), flush=True)
    fsync(fd)
os.fsync = told
agent.supervise(os.getcwd(), ["sh", "-c", sys.argv[1]])
"""
    program = "echo hi; mkdir logs; echo 1 > logs/seed1.txt; echo 2 > final.int6.ptz; mkfifo a.pt"
    home = os.environ | {"HOME": str(tmp_path.parent)}
    command = [sys.executable, "-c", watched, program]
    done = subprocess.run(command, cwd=tmp_path, env=home, stdout=subprocess.PIPE, text=True, check=True)
    kept = done.stdout.splitlines()
    for name in ("train.log", "seed1.txt", "final.int6.ptz", "exit.json.new"):
        assert f"{name} False" in kept
    assert kept[-1] == "exit.json.new False"
