"""Two workers on one pool, the server on PostgreSQL, RunPod played by the fake: what docs/operate.md says of them.

Takes minutes, so it belongs to `make faults`.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from fakes.account import MISSING, OPENAPI, FakeRunpod
from fakes.postgres import MISSING as NO_POSTGRES
from fakes.postgres import POSTGRES, Postgres
from fakes.sshd import MISSING as NO_SSHD
from fakes.sshd import SSHD
from seconds import Made
from test_deployment import await_health, end, in_background, quickstart, run_to_end, terminal

from pgolf.data.dataset import Dataset
from pgolf.pods.local import MARK
from pgolf.pods.runpod import Runpod
from pgolf.pods.settings import Rent

pytestmark = [
    pytest.mark.record,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.environ.get("PGOLF_ALL_FAULTS") != "1", reason="with `make faults` (PGOLF_ALL_FAULTS=1)"),
    pytest.mark.skipif(POSTGRES is None, reason=NO_POSTGRES),
    pytest.mark.skipif(SSHD is None, reason=NO_SSHD),
    pytest.mark.skipif(not OPENAPI.exists(), reason=MISSING),
]
PATIENCE_S = 900


@dataclass
class Pool:
    """The server, two workers, and the account that they rent from."""

    shell: dict[str, str]
    folder: Path
    account: FakeRunpod
    workers: dict[str, subprocess.Popen[bytes]]
    given: dict[str, Any]  # to every record

    def ask(self, path: str, **body: Any) -> Any:
        return httpx.post(f"{self.shell['PREFECT_API_URL']}/{path}", json=body, timeout=60).raise_for_status().json()

    def start(self, deployment: str, **given: Any) -> str:
        """Start a deployment's run as docs/operate.md does; its id."""
        words = [f"--param {name}={value}" for name, value in {**self.given, **given}.items()]
        known = {run["id"] for run in self.ask("flow_runs/filter")}
        run_to_end(f"prefect deployment run record-3seed/{deployment} {' '.join(words)}", self.shell)
        (new,) = {r["id"] for r in self.ask("flow_runs/filter", flows={"name": {"any_": ["record-3seed"]}})} - known
        return new

    def run(self, run_id: str) -> dict[str, Any]:
        (run,) = self.ask("flow_runs/filter", flow_runs={"id": {"any_": [run_id]}})
        return run

    def lines(self, run_id: str) -> list[str]:
        """What was logged of a run, by its workers too."""
        logs = {"flow_run_id": {"any_": [run_id]}}
        found: list[str] = []
        while page := self.ask("logs/filter", logs=logs, offset=len(found), limit=200):
            found += [line["message"] for line in page]
        return found

    def await_end(self, run_id: str) -> dict[str, Any]:
        wait_for(lambda: self.run(run_id)["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"))
        return self.run(run_id)

    def worker_of(self, run_id: str) -> str:
        """The worker that has taken a run, by its process."""
        pid = int(self.run(run_id)["infrastructure_pid"].split(":")[-1])
        parents = {p.pid for p in psutil.Process(pid).parents()}
        (name,) = [name for name, worker in self.workers.items() if worker.pid in parents]
        return name

    def add_worker(self, name: str) -> None:
        *_, worker_line, _ = quickstart()
        line = f"{worker_line} --name {name} --limit 1"
        self.workers[name] = in_background(line, self.shell, self.folder / f"worker-{name}.txt")


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.3)
    return value


@pytest.fixture(scope="module")
def pool(tiny_track: Path, tiny_data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    folder = tmp_path_factory.mktemp("workers")
    server_line, deploy_line, *_ = quickstart()
    with Postgres() as database, FakeRunpod(folder / "account") as account:
        shell = terminal(folder / "prefect", "") | {
            "PREFECT_API_DATABASE_CONNECTION_URL": database.url,
            "PGOLF_PODS_FILE": str(account.pods_file(folder / "pods.toml")),
            "RUNPOD_API_KEY": account.key,
            "OMP_NUM_THREADS": "1",
        }
        del shell["PGOLF_WEBHOOK_URL"]
        given = {"track": tiny_track, "data_dir": tiny_data.data_dir, "runs_dir": folder / "runs", "probe": "false"}
        opened = Pool(shell, folder, account, {}, given)
        server = in_background(server_line, shell, folder / "server.txt")
        try:
            await_health(shell["PREFECT_API_URL"], server)
            run_to_end(deploy_line, shell)
            for name in ("first", "second"):
                opened.add_worker(name)
            yield opened
        finally:
            for process in (*opened.workers.values(), server):
                end(process)


def test_two_workers_run_two_records_at_once(pool: Pool, made: Made) -> None:
    ids = [pool.start("cpu-smoke", record_id=name) for name in ("one", "two")]
    wait_for(lambda: all(pool.run(i)["state"]["type"] == "RUNNING" for i in ids))
    assert {pool.worker_of(i) for i in ids} == {"first", "second"}
    for run_id, name in zip(ids, ("one", "two"), strict=True):
        assert pool.await_end(run_id)["state"]["type"] == "COMPLETED", pool.lines(run_id)
        assert scores(pool.folder / "runs" / name) == scores(made.folder)


def scores(record: Path) -> dict[str, Any]:
    (submission,) = record.glob("records/*/*/submission.json")
    return {seed: row["val_bpb"] for seed, row in json.loads(submission.read_text())["seed_results"].items()}


def test_record_of_a_killed_worker_is_taken_up_by_the_next_one(pool: Pool, made: Made) -> None:
    run_id, record = pool.start("cpu-smoke", record_id="orphaned", parallel=1), pool.folder / "runs/orphaned"
    wait_for((record / "seeds/314/attempt-1/events.jsonl").exists)
    name = pool.worker_of(run_id)
    power_cut(pool.workers.pop(name))
    pods = {p: p.read_text() for p in record.glob("seeds/*/attempt-*/pod.json")}
    run_to_end("prefect deployment run reaper/reaper --watch", pool.shell)
    run = pool.await_end(run_id)
    assert (run["state"]["type"], run["run_count"]) == ("COMPLETED", 2), pool.lines(run_id)
    wait_for(lambda: any("seed 42: reused" in line for line in pool.lines(run_id)))  # lines come after the state
    assert all(p.read_text() == text for p, text in pods.items())
    assert not list(record.glob("seeds/*/attempt-2"))
    assert scores(record) == scores(made.folder)
    pool.add_worker("third")


def power_cut(worker: subprocess.Popen[bytes]) -> None:
    """SIGKILL for a worker and the flow runs below it; what runs detached on a pod, as elsewhere, lives on."""
    for process in [*psutil.Process(worker.pid).children(recursive=True), psutil.Process(worker.pid)]:
        with suppress(psutil.NoSuchProcess):
            if MARK not in process.environ():
                process.kill()
    worker.wait()


def test_deployment_on_rented_pods_from_nothing_to_a_submission(pool: Pool, made: Made) -> None:
    run_id = pool.start("runpod", record_id="rented")
    run = pool.await_end(run_id)
    assert run["state"]["type"] == "COMPLETED", pool.lines(run_id)
    assert scores(pool.folder / "runs/rented") == scores(made.folder)
    assert (run["parameters"]["max_cost"], run["parameters"]["pods"]) == (100, "runpod")
    assert pool.account.key not in json.dumps(run) + "".join(pool.lines(run_id))
    assert len(json.loads((pool.folder / "runs/rented/manifest.json").read_text())["pods"]) == 3
    assert not pool.account.alive()


def test_cancelled_flow_run_ends_its_pods(pool: Pool) -> None:
    run_id, record = pool.start("runpod", record_id="cancelled"), pool.folder / "runs/cancelled"
    wait_for(lambda: list(record.glob("seeds/*/attempt-1/events.jsonl")))
    assert pool.account.alive()
    run_to_end(f"prefect flow-run cancel {run_id}", pool.shell)
    assert pool.await_end(run_id)["state"]["type"] == "CANCELLED"
    wait_for(lambda: not pool.account.alive())


def test_scheduled_reaper_ends_an_orphan(pool: Pool) -> None:
    """prefect.yaml schedules it every ten minutes; here, every ten seconds."""
    orphan = "pgolf.tests.forgotten.pod-1.0"
    Runpod(pool.account.url + "/v1", pool.account.key).create(orphan, Rent(), 1, {}, ["sleep", "600"])
    (reaper,) = [d for d in pool.ask("deployments/filter") if d["name"] == "reaper"]
    (schedule,) = reaper["schedules"]
    assert (schedule["active"], schedule["schedule"]["interval"]) == (True, 600.0)
    url = f"{pool.shell['PREFECT_API_URL']}/deployments/{reaper['id']}/schedules/{schedule['id']}"
    changed = {"active": True, "schedule": {"interval": 10, "anchor_date": schedule["schedule"]["anchor_date"]}}
    httpx.patch(url, json=changed, timeout=60).raise_for_status()
    wait_for(lambda: not pool.account.alive())
