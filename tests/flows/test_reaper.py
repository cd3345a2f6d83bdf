"""What the reaper does with flow runs whose worker is gone: a real server, a real run that nobody watches."""

import threading
from collections.abc import Iterator
from pathlib import Path

import jobs
import pytest
from living import of_pod, wait_for
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling, Running

from pgolf.evidence.plan import make_plan, write_plan
from pgolf.flows.pods import TAG
from pgolf.flows.reaper import take_up
from pgolf.pods.local import LocalPod
from pgolf.pods.places import lock_if_free
from pgolf.record.seeds import Left, run_seed
from pgolf.record.stopping import Stop

pytestmark = pytest.mark.record
SLEEPS = "import time; open('up', 'w'); time.sleep(300)"


@flow(name="of-a-worker")
def of_a_worker() -> None:
    """Stands for the flow of a record: only its runs' parameters, tags and states matter here."""


@pytest.fixture
def left(tmp_path: Path) -> Iterator[Path]:
    """An attempt of record `mine`, which runs and which nobody watches."""
    record, stop = tmp_path / "runs/mine", Stop()
    write_plan(record, make_plan("mine", "cpu_smoke", "smoke", (42,), {"dataset": "0" * 64}))
    with lock_if_free(record):  # as the worker's process did
        pass
    attempt = record / "seeds/42/attempt-1"
    threading.Thread(target=lambda: (wait_for((attempt / "up").exists), stop.leave())).start()
    with pytest.raises(Left):
        run_seed(jobs.job(record / "seeds", SLEEPS), 42, stop)
    yield attempt
    LocalPod(attempt).kill()


def test_run_of_a_gone_worker_is_handed_on_and_a_cancelled_one_is_ended(
    left: Path, prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgolf.flows.reaper.SETTLE_S", 0.0)
    runs_dir = left.parents[3]
    with temporary_settings({PREFECT_API_URL: prefect_server}), get_client(sync_client=True) as client:
        deployment = client.create_deployment(client.create_flow(of_a_worker), name="mine")
        run = client.create_flow_run_from_deployment(
            deployment, parameters={"runs_dir": str(runs_dir)}, tags=[f"{TAG}mine"]
        )
        client.set_flow_run_state(run.id, Running(), force=True)
        with lock_if_free(runs_dir / "mine"):
            assert run.id not in take_up(), "somebody is at it"
        assert take_up() == [run.id]
        assert client.read_flow_run(run.id).state_name == "AwaitingRetry" and of_pod(left)

        for state in (Running(), Cancelling()):
            client.set_flow_run_state(run.id, state, force=True)
        assert take_up() == [run.id]
        assert client.read_flow_run(run.id).state_name == "Cancelled" and not of_pod(left)
        assert take_up() == []
