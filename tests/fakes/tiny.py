"""A RunPod account in this process, whose pods are nothing but their end: for tests of milliseconds."""

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pgolf.errors import BadInput
from pgolf.pods import Gone, Kind
from pgolf.pods.money import Budget
from pgolf.pods.remote import RemotePlace
from pgolf.pods.rental import Rental, Rentals
from pgolf.pods.runpod import ApiError, NoCapacity, Rented
from pgolf.pods.settings import Nets, Rent, RunpodSettings
from pgolf.pods.ssh import Data

FACTS: Mapping[str, Any] = {"versions": {}}


class TinyAccount:
    """See `pgolf.pods.runpod.Runpod`. The nth pod asked for is of the nth of `ways`, later ones of the last.

    good; silent: no sshd answers; dear; priceless; nan; no capacity, denied: none is made; failed: none is made, and no
    reply says so; lost: the reply is lost, and for `hidden` looks the pod is in no list.
    """

    def __init__(self, *ways: str, price: float = 20.0, hidden: int = 0) -> None:
        self.ways, self.price, self.hidden = ways, price, hidden
        self.asked = 0
        self.pods: dict[str, Rented] = {}
        self.made: list[str] = []
        self.lock = threading.Lock()

    def create(self, name: str, rent: Rent, gpu_count: int, env: Mapping[str, str], start: list[str]) -> Rented:
        with self.lock:
            way = self.ways[min(self.asked, len(self.ways) - 1)]
            self.asked += 1
            if way == "no capacity":
                raise NoCapacity("no instances")
            if way == "denied":
                raise BadInput("RunPod refuses for good: insufficient balance")
            if way == "failed":
                raise ApiError("RunPod failed (500)")
            price: Any = {"dear": 99.0, "priceless": None, "nan": float("nan")}.get(way, self.price)
            pod = Rented(f"{way}-{len(self.made) + 1}", name, "RUNNING", price, "127.0.0.1", 1)
            self.pods[pod.id] = pod
            self.made.append(pod.id)
            if way == "lost":
                raise ApiError("gateway time-out")
            return pod

    def get(self, pod_id: str) -> Rented | None:
        return self.pods.get(pod_id)

    def find(self, name: str | None = None) -> list[Rented]:
        if name and self.hidden:
            self.hidden -= 1
            return []
        return [pod for pod in self.pods.values() if name in (None, pod.name)]

    def delete(self, pod_id: str) -> None:
        self.pods.pop(pod_id, None)

    def close(self) -> None:
        pass


def reach(rental: Rental) -> Any:
    """The machine of a pod, in the place of `Rental._reach`."""
    pod = rental.rentals.api.get(rental.known["pod_id"])
    assert pod
    if pod.id.startswith("silent"):
        time.sleep(0.01)
        raise Gone(f"{rental.name}: no answer for 900 s", Kind.NO_ANSWER)
    closed = threading.Event()
    rental.made = SimpleNamespace(  # type: ignore[assignment]
        close=closed.set, closed=closed, run=lambda command, **given: "", name=rental.name, python="python3"
    )
    return rental.made


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pods are reached and made ready at once."""
    monkeypatch.setattr(Rental, "_reach", reach)
    monkeypatch.setattr("pgolf.pods.rental.prepare", lambda *given: FACTS)
    monkeypatch.setattr("pgolf.pods.rental.stage_data", lambda *given: [])
    monkeypatch.setattr("pgolf.pods.rental.LOOK_PAUSE_S", 0.0)
    monkeypatch.setattr("pgolf.pods.remote.PAUSE_MOST_S", 0.6)


def open_tiny(
    account: TinyAccount, folder: Path, runs: int = 3, rent: Rent | None = None, **bounds: float
) -> RemotePlace:
    """A place for `runs` seeds on pods of this account; the record's folder is `folder`/record."""
    record = (folder / "record").resolve()
    settings = RunpodSettings(owner="tests", key=folder / "id_ed25519", nets=Nets(heartbeat_s=0.05))
    settings = settings.model_copy(update={"capacity_patience_s": 30.0})
    budget = Budget(record, threading.Event(), **bounds)
    data = Data(folder, {})
    rentals = Rentals(account, settings, rent or settings.rent, 8, record, data, budget)  # type: ignore[arg-type]
    place = RemotePlace(record, rentals, budget.stop, runs, data)
    rentals.runs = place.runs
    return place
