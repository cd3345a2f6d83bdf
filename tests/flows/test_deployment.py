"""The four lines of docs/quickstart.md, as written there: a real server, deployment, worker, and run."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from seconds import environment

from pgolf.data.dataset import Dataset

pytestmark = pytest.mark.slow
REPOSITORY = Path(__file__).parents[2]


def quickstart() -> list[str]:
    """The commands that the quick start gives for a server of one's own."""
    text = (REPOSITORY / "docs" / "quickstart.md").read_text()
    lines = [line.strip() for line in text.splitlines() if line.startswith("    prefect ")]
    assert len(lines) == 4
    return lines


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """The environment of a terminal with .venv activated and PREFECT_API_URL set; a free port, a home of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return environment() | {
        "PATH": path,
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_API_PORT": str(port),
    }


def in_background(line: str, shell: dict[str, str], output: Path) -> subprocess.Popen[bytes]:
    with output.open("wb") as file:
        return subprocess.Popen(
            line, shell=True, cwd=REPOSITORY, env=shell, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """Ctrl-C for a terminal's process group, then less politely."""
    for told in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, told)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                continue


def test_quickstart_with_a_server(shell: dict[str, str], tiny_track: Path, tiny_data: Dataset, tmp_path: Path) -> None:
    server_line, deploy_line, worker_line, run_line = quickstart()
    server = in_background(server_line, shell, tmp_path / "server.txt")
    worker = None
    try:
        await_health(shell["PREFECT_API_URL"], server)
        deployed = subprocess.run(deploy_line, shell=True, cwd=REPOSITORY, env=shell, capture_output=True, text=True)
        assert deployed.returncode == 0, deployed.stdout + deployed.stderr
        worker = in_background(worker_line, shell, tmp_path / "worker.txt")
        given = {
            "track": tiny_track,
            "data_dir": tiny_data.data_dir,
            "runs_dir": tmp_path / "runs",
            "record_id": "first",
        }
        parameters = " ".join(f"--param {name}={value}" for name, value in given.items())
        ran = subprocess.run(
            f"{run_line} {parameters}",
            shell=True,
            cwd=REPOSITORY,
            env=shell,
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr + (tmp_path / "worker.txt").read_text()
        (flow_run,) = everything(shell, "flow_runs")
        assert (flow_run["state"]["type"], flow_run["parameters"]["record_id"]) == ("COMPLETED", "first")
        task_names = {t["name"] for t in everything(shell, "task_runs")}
        assert {"prepare tiny", "preflight", "seed 42", "seed 314", "seed 999", "verdict"} <= task_names
        artifacts = {a["key"]: a for a in everything(shell, "artifacts")}
        rows = json.loads(artifacts["first-seeds"]["data"])
        assert [row["seed"] for row in rows] == ["42", "314", "999"]
        assert artifacts["first-verdict"]["data"].startswith("# A record")
        assert artifacts["seed-42"]["type"] == "progress"
        messages = {line["message"] for line in everything(shell, "logs")}
        assert any(message.startswith("seed 314: started") for message in messages)
        (submission,) = (tmp_path / "runs/first/records/tiny_track").iterdir()
        assert (submission / "submission.json").exists()
        assert "telemetry" not in (tmp_path / "server.txt").read_text()
    finally:
        for process in (worker, server):
            if process:
                end(process)


def await_health(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 180
    while True:
        try:
            httpx.get(f"{url}/health").raise_for_status()
            return
        except httpx.HTTPError:
            assert server.poll() is None, "the server ended"
            assert time.monotonic() < deadline
            time.sleep(0.2)


def everything(shell: dict[str, str], kind: str) -> list[dict]:
    return httpx.post(f"{shell['PREFECT_API_URL']}/{kind}/filter", json={}).raise_for_status().json()
