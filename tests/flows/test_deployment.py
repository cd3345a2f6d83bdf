"""The four lines of docs/quickstart.md, as written there: a real server, deployment, worker and run; in a browser. The
run's seeds replay those of the record that was made."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
import replay
from browser import chromium
from chat import Chat
from living import of_pod, wait_for
from playwright.sync_api import FloatRect, Page
from seconds import Made, environment
from servers import copy_database

from pgolf import tracks
from pgolf.audit.audit import audit_folders
from pgolf.data.dataset import Dataset, open_dataset
from pgolf.pods.versions import versions_here

pytestmark = pytest.mark.record
REPOSITORY = Path(__file__).parents[2]


def quickstart() -> list[str]:
    """The commands that the quick start gives for a server of one's own."""
    text = (REPOSITORY / "docs" / "quickstart.md").read_text()
    lines = [line.strip() for line in text.splitlines() if line.startswith("    prefect ")]
    assert len(lines) == 4
    return lines


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


@dataclass
class Deployed:
    """A record that a worker made: the terminal's environment, the folder of it all, what the webhook was told."""

    shell: dict[str, str]
    folder: Path
    told: list[str]

    @property
    def url(self) -> str:
        return self.shell["PREFECT_API_URL"].removesuffix("/api")

    def all(self, kind: str) -> list[dict]:
        of_records = {"flows": {"name": {"any_": ["record-3seed"]}}}  # the reaper's are scheduled, too
        asked = of_records if kind == "flow_runs" else {}
        answer = httpx.post(f"{self.shell['PREFECT_API_URL']}/{kind}/filter", json=asked)
        return answer.raise_for_status().json()


def terminal(home: Path, webhook: str) -> dict[str, str]:
    """The environment of a terminal with .venv activated and PREFECT_API_URL set; a free port, a home of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    copy_database(home)
    return environment() | {
        "PATH": path,
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_API_PORT": str(port),
        "PGOLF_WEBHOOK_URL": webhook,
    }


@pytest.fixture(scope="module")
def deployed(
    made: Made, tiny_track: Path, tiny_data: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    """The four lines, and the server for as long as the tests look at it."""
    server_line, deploy_line, worker_line, run_line = quickstart()
    tmp_path = tmp_path_factory.mktemp("deployed")
    (tmp_path / "program.py").write_bytes(replay.program(made.folder / "seeds"))
    with Chat() as chat:
        shell = terminal(tmp_path / "prefect", chat.url) | {
            "PGOLF_TESTS_PROGRAM": str(tmp_path / "program.py"),
            "PYTHONPATH": str(REPOSITORY / "tests" / "fakes" / "site"),
        }
        server = in_background(server_line, shell, tmp_path / "server.txt")
        worker = None
        try:
            await_health(shell["PREFECT_API_URL"], server)
            run_to_end(deploy_line, shell)
            worker = in_background(worker_line, shell, tmp_path / "worker.txt")
            given = {
                "track": tiny_track,
                "data_dir": tiny_data.data_dir,
                "runs_dir": tmp_path / "runs",
                "record_id": "first",
                "probe": "false",
            }
            run_to_end(f"{run_line} {' '.join(f'--param {name}={value}' for name, value in given.items())}", shell)
            yield Deployed(shell, tmp_path, [body["text"] for body in chat.told])
        finally:
            for process in (worker, server):
                if process:
                    end(process)


def run_to_end(line: str, shell: dict[str, str]) -> None:
    done = subprocess.run(line, shell=True, cwd=REPOSITORY, env=shell, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr


def test_run_is_kept_with_its_tasks_artifacts_and_lines(deployed: Deployed) -> None:
    (flow_run,) = deployed.all("flow_runs")
    assert (flow_run["state"]["type"], flow_run["parameters"]["record_id"]) == ("COMPLETED", "first")
    assert flow_run["name"] == "first: tiny"  # the record and its preset
    task_names = {t["name"] for t in deployed.all("task_runs")}
    assert {"prepare tiny", "preflight", "seed 42", "seed 314", "seed 999", "verdict"} <= task_names
    artifacts = {a["key"]: a for a in deployed.all("artifacts")}
    rows = json.loads(artifacts["first-seeds"]["data"])
    assert [row["seed"] for row in rows] == ["42", "314", "999"]
    verdict = artifacts["first-verdict"]["data"]
    assert verdict.startswith("# A record") and "file:" not in verdict and "](" not in verdict  # no dead links
    for seed in (42, 314, 999):
        shown = artifacts[f"first-seed-{seed}"]
        assert (shown["type"], float(shown["data"])) == ("progress", 100.0), shown
        assert shown["description"].startswith(f"seed {seed}: done")
    messages = {line["message"] for line in deployed.all("logs")}
    assert any(message.startswith("seed 314: started") for message in messages)
    (submission,) = (deployed.folder / "runs/first/records/tiny_track").iterdir()
    assert (submission / "submission.json").exists()
    assert "telemetry" not in (deployed.folder / "server.txt").read_text()


def test_reaper_is_scheduled(deployed: Deployed) -> None:
    """The server has made the runs of the next hours by itself."""
    asked = {"flows": {"name": {"any_": ["reaper"]}}}
    runs = httpx.post(f"{deployed.shell['PREFECT_API_URL']}/flow_runs/filter", json=asked).raise_for_status().json()
    assert sum(run["auto_scheduled"] for run in runs) > 1


def test_webhook_is_told_from_start_to_verdict(deployed: Deployed) -> None:
    assert deployed.told[0] == "first: started, seeds 42, 314, 999"
    lines = "\n".join(deployed.told).replace("first: ", "").splitlines()
    done = sorted(line.split(" is done: val_bpb")[0] for line in lines if " is done: " in line)
    assert done == ["seed 314", "seed 42", "seed 999"]
    assert "A RECORD: val_bpb " in deployed.told[-1]
    assert len(deployed.told) <= 5  # what happens within half a minute is one message


def test_person_sees_the_run_its_table_and_its_verdict_in_the_browser(deployed: Deployed) -> None:
    (flow_run,) = deployed.all("flow_runs")
    artifacts = {a["key"]: a for a in deployed.all("artifacts")}
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(f"{deployed.url}/runs/flow-run/{flow_run['id']}")
        page.get_by_text("Completed").first.wait_for()
        page.get_by_text("Artifacts", exact=True).first.click()
        page.get_by_text("first-seeds").first.wait_for()
        picture(page, "prefect-run.png", top=105)
        page.get_by_text("first-verdict").first.click()
        page.get_by_role("heading", name="A record").wait_for()
        text = page.inner_text("body")
        for row in json.loads(artifacts["first-seeds"]["data"]):
            assert row["TTT"] in text
        assert "clears the bar: better by more than 0.005 nats" in text
        assert "report.html" in text
        picture(page, "prefect-verdict.png", left=255, top=60, width=870, height=810)


def test_worker_makes_a_dataset_of_a_corpus(deployed: Deployed) -> None:
    docs, out = deployed.folder / "docs.jsonl", deployed.folder / "own"
    words = sorted(set((REPOSITORY / "README.md").read_text().split()))
    texts = [" ".join(words[(i * k) % len(words)] for k in range(1, 60)) for i in range(1, 200)]
    docs.write_text("".join(json.dumps({"text": f"{i}. {text}"}) + "\n" for i, text in enumerate(texts)))
    given = {"docs": json.dumps([str(docs)]), "out": out, "vocab": 400, "val_docs": 20, "workers": 1}
    parameters = " ".join(shlex.quote(f"--param={name}={value}") for name, value in given.items())
    run_to_end(f"prefect deployment run prepare-data/corpus {parameters} --watch", deployed.shell)
    made = open_dataset(out, 400)
    (table,) = (a["data"] for a in deployed.all("artifacts") if a["key"] == "dataset")
    assert made.documents == 199 and f"| val_sha256 | {made.val_sha256} |" in table


def test_worker_makes_a_record_of_a_users_program(deployed: Deployed, tiny_data: Dataset) -> None:
    """Tests before it look at the only run of record-3seed."""
    programs, (*_, run_line) = REPOSITORY / "tests/programs", quickstart()
    given = {
        "program": programs / "april",
        "knobs": json.dumps({"ITERATIONS": 10, "LR": 0.02}),
        "against": "9.0,9.1,9.05",
        "track": programs / "track.toml",
        "data_dir": tiny_data.data_dir,
        "runs_dir": deployed.folder / "runs",
        "record_id": "theirs",
    }
    parameters = " ".join(shlex.quote(f"--param={name}={value}") for name, value in given.items())
    run_to_end(f"{run_line} {parameters}", deployed.shell)
    (flow_run,) = [run for run in deployed.all("flow_runs") if run["parameters"]["record_id"] == "theirs"]
    assert flow_run["state"]["type"] == "COMPLETED"
    artifacts = {a["key"]: a for a in deployed.all("artifacts")}
    rows = json.loads(artifacts["theirs-seeds"]["data"])
    assert [row["seed"] for row in rows] == ["42", "314", "999"]
    assert artifacts["theirs-verdict"]["data"].startswith("# A record")
    folder = deployed.folder / "runs/theirs"
    (submission,) = (folder / "records/track").iterdir()
    sent = [path for path in (programs / "april").iterdir() if path.is_file()]
    for path in sent:
        assert (submission / path.name).read_bytes() == path.read_bytes()
    (audit,) = audit_folders([submission], tracks.load(str(given["track"])))
    assert not audit.failed
    knobs = [(run.hyperparameters["iterations"].value, run.hyperparameters["lr"].value) for run in audit.runs]
    assert knobs == [("10", "0.02")] * 3
    manifest = json.loads((folder / "manifest.json").read_text())
    assert {f"program/{path.name}" for path in sent} <= manifest["files"].keys()
    modules = ["brotli", "numpy", "sentencepiece", "torch"]
    assert manifest["machines"] == {"here": {"versions": versions_here(modules)}}


def picture(page: Page, name: str, left: int = 0, top: int = 0, width: int = 1400, height: int = 895) -> None:
    """Keep this part of the screen, which holds no path of a test's, where `make pictures` asks for it."""
    if folder := os.environ.get("PGOLF_PICTURES"):
        page.wait_for_timeout(1500)  # the graph is drawn after the text
        clip = FloatRect(x=left, y=top, width=width, height=height)
        page.screenshot(path=Path(folder) / name, clip=clip)


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


SLOW = "global PACE_S; PACE_S = 1 if 'preflight' in os.getcwd() else 600"  # seeds wait in their middle


def test_seeds_outlive_a_worker_told_to_end_and_a_cancelled_run_ends_them(
    deployed: Deployed, made: Made, tiny_track: Path, tiny_data: Dataset
) -> None:
    record = deployed.folder / "runs/outlives"
    (deployed.folder / "program.py").write_bytes(replay.program(made.folder / "seeds", edit=SLOW))
    given = {"track": tiny_track, "data_dir": tiny_data.data_dir, "runs_dir": record.parent, "record_id": record.name}
    given |= {"probe": "false", "parallel": 2}
    parameters = " ".join(f"--param {name}={value}" for name, value in given.items())
    start = f"{quickstart()[-1].split(' --param')[0]} {parameters}"
    run_to_end(start, deployed.shell)
    wait_for(lambda: len(list(record.glob("seeds/*/attempt-1/events.jsonl"))) == 2)
    attempts = {p.parent: p.read_text() for p in record.glob("seeds/*/attempt-1/pod.json")}
    for process in [process for attempt in attempts for process in of_pod(attempt)]:
        process.suspend()
    first = told_to_end(deployed, record)
    assert first["state"]["type"] == "CRASHED"
    assert all(of_pod(attempt) for attempt in attempts)
    marks = json.loads((record / "told.json").read_text())
    assert "ended" in marks and not any("has failed" in mark for mark in marks)

    run_to_end(start, deployed.shell)
    wait_for(lambda: (record / "record.log").read_text().count("still running since before, taken up") == 2)
    (second,) = [run for run in deployed.all("flow_runs") if run["state"]["type"] == "RUNNING"]
    run_to_end(f"prefect flow-run cancel {second['id']}", deployed.shell)
    wait_for(lambda: not any(of_pod(attempt) for attempt in attempts))
    assert {attempt: (attempt / "pod.json").read_text() for attempt in attempts} == attempts
    assert not list(record.glob("seeds/*/attempt-2"))


def told_to_end(deployed: Deployed, record: Path) -> dict:
    """The flow run of a record whose process has got SIGTERM, once it has ended."""
    pid = json.loads((record / "orchestrator.json").read_text())["process"]["pid"]
    (run,) = [run for run in deployed.all("flow_runs") if run["parameters"].get("record_id") == record.name]
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not psutil.pid_exists(pid))
    (run,) = [again for again in deployed.all("flow_runs") if again["id"] == run["id"]]
    return run
