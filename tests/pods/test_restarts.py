"""Rented pods whose container is started anew: lost machines, whatever part of a seed that hits. Nothing is started
twice, no key is accepted that another start has shown, and a crash loop that nobody watches ends."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fakes.account import MISSING, OPENAPI, FakeRunpod
from fakes.sshd import MISSING as NO_SSHD
from fakes.sshd import SSHD
from test_runpod import job, open_place, run, watchdog_ends

from pgolf.errors import BadInput
from pgolf.pods import rental as renting
from pgolf.pods.lease import heartbeat
from pgolf.pods.machine import Machine
from pgolf.pods.money import bills
from pgolf.pods.remote import RemotePlace
from pgolf.pods.rental import Rental, Rentals
from pgolf.record.seeds import TakenDown, attempts

pytestmark = [
    pytest.mark.record,
    pytest.mark.skipif(SSHD is None, reason=NO_SSHD),
    pytest.mark.skipif(not OPENAPI.exists(), reason=MISSING),
]
WAITS = "import time; print('so far', flush=True); time.sleep(300)"
with_all_faults = pytest.mark.skipif(os.environ.get("PGOLF_ALL_FAULTS") != "1", reason="with `make faults`")
NEW_KEY = {"wipe": True, "new_key": True}, "new disk, new key"
SAME_KEY = {"wipe": True, "new_key": False}, "new disk, same key"
SAME_DISK = {"wipe": False, "new_key": False}, "same disk, same key"


def later(how: tuple[dict[str, bool], str]) -> Any:
    return pytest.param(how[0], id=how[1], marks=with_all_faults)


def now(how: tuple[dict[str, bool], str]) -> Any:
    return pytest.param(how[0], id=how[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeRunpod]:
    running = FakeRunpod(tmp_path_factory.mktemp("runpod"))
    yield running
    running.close()


@pytest.fixture
def account(server: FakeRunpod) -> Iterator[FakeRunpod]:
    """The account, for one test: whatever goes wrong, its pods end."""
    yield server
    server.tell("misbehave", **dict.fromkeys(("crash_loop", "crash_loop_kept"), 0))
    left = server.alive()
    for pod in left:
        server.tell("kill", id=pod["id"])
    assert not left


@pytest.fixture
def place(account: FakeRunpod, tmp_path: Path) -> Iterator[RemotePlace]:
    opened = open_place(account, tmp_path, runs=2)
    yield opened
    opened.close()


def restart_once(account: FakeRunpod, **how: bool) -> Callable[[], None]:
    """What starts the container of the one pod that lives anew, at its first call."""
    done: list[str] = []

    def restart() -> None:
        if not done:
            (pod,) = account.alive()
            done.append(pod["id"])
            account.tell("restart_container", id=pod["id"], **how)

    return restart


def check_lost(account: FakeRunpod, tmp_path: Path, before: int, *, pods: int = 2) -> None:
    """The first pod was given back, the pin of none is left, and the first of two attempts is lost."""
    first, second = attempts(tmp_path / "record", [42])
    assert (first.outcome, second.outcome) == ("lost", "finished")
    assert len(account.pods()) - before == pods
    assert not account.pods()[before]["alive"]
    assert bills(tmp_path / "record")[0].until
    assert not (tmp_path / "record/pods/pod-1.pin").exists()


@pytest.mark.parametrize("how", [now(NEW_KEY), now(SAME_KEY), later(SAME_DISK)])
def test_container_started_anew_in_the_middle_of_a_seed_is_a_lost_machine(
    account: FakeRunpod, place: RemotePlace, tmp_path: Path, how: dict[str, bool], caplog: pytest.LogCaptureFixture
) -> None:
    before, log = len(account.pods()), tmp_path / "record/seeds/42/attempt-1/train.log"
    restart = restart_once(account, **how)

    def in_the_middle() -> None:
        while not (log.exists() and log.stat().st_size):
            time.sleep(0.1)
        restart()

    thread = threading.Thread(target=in_the_middle)
    thread.start()
    with pytest.raises(TakenDown):
        run(tmp_path, place, program=WAITS)
    thread.join()
    assert run(tmp_path, place).folder.name == "attempt-2"
    check_lost(account, tmp_path, before)
    assert "delete" not in caplog.text  # no file for the user to mend


@pytest.mark.parametrize("how", [later(NEW_KEY), later(SAME_KEY), now(SAME_DISK)])
def test_container_started_anew_between_seeds_is_not_taken_for_ready(
    account: FakeRunpod, place: RemotePlace, tmp_path: Path, how: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgolf.pods.rental.RECENT_S", 0.0)
    before = len(account.pods())
    run(tmp_path, place, 42)
    restart_once(account, **how)()
    assert run(tmp_path, place, 314).folder.name == "attempt-1"
    assert len(account.pods()) == before + 2
    assert not account.pods()[before]["alive"]
    assert [attempt.outcome for attempt in attempts(tmp_path / "record", [42, 314])] == ["finished", "finished"]


@pytest.mark.parametrize("how", [now(NEW_KEY), later(SAME_KEY)])
def test_container_started_anew_while_it_is_made_ready_is_not_used(
    account: FakeRunpod, place: RemotePlace, tmp_path: Path, how: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, restart, stage = len(account.pods()), restart_once(account, **how), renting.stage_data

    def disturbed(*given: Any) -> Any:
        staged = stage(*given)
        restart()
        return staged

    monkeypatch.setattr(renting, "stage_data", disturbed)
    assert run(tmp_path, place).folder.name == "attempt-1"
    assert len(account.pods()) == before + 2
    assert not account.pods()[before]["alive"]


def test_container_started_anew_while_its_files_come_home_loses_the_seed(
    account: FakeRunpod, place: RemotePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, restart, get = len(account.pods()), restart_once(account), Machine.get

    def disturbed(self: Machine, *given: Any) -> None:
        get(self, *given)
        restart()

    monkeypatch.setattr(Machine, "get", disturbed)
    with pytest.raises(TakenDown, match="another host key"):
        run(tmp_path, place)
    assert not (tmp_path / "record/seeds/42/attempt-1/exit.json").exists()
    assert run(tmp_path, place).folder.name == "attempt-2"
    check_lost(account, tmp_path, before)


@pytest.mark.parametrize("how", [now(NEW_KEY), later(SAME_KEY), later(SAME_DISK)])
def test_container_started_anew_while_nobody_watched_is_lost_for_the_next_process(
    account: FakeRunpod, tmp_path: Path, how: dict[str, bool]
) -> None:
    before, first = len(account.pods()), open_place(account, tmp_path)
    this = job(tmp_path, WAITS)
    pod = first.open(this.folder / "42/attempt-1")
    pod.put(this.source / "train_gpt.py", "train_gpt.py")
    pod.start(this.program.start(this.nproc), {})
    (slot,) = first.held.values()
    assert isinstance(slot, Rental)
    slot.ended.set()  # no more heartbeats: its process was killed
    restart_once(account, **how)()
    second = open_place(account, tmp_path)
    assert run(tmp_path, second).folder.name == "attempt-2"
    second.close()
    check_lost(account, tmp_path, before)


@pytest.mark.parametrize("what", ["crash_loop", "crash_loop_kept"])
def test_crash_loop_that_nobody_watches_ends(account: FakeRunpod, tmp_path: Path, what: str) -> None:
    place = open_place(account, tmp_path, lifetime_s=12, fetch_grace_s=1)
    account.tell("misbehave", **{what: 1})
    slot = place.slots.another()
    assert isinstance(slot, Rental)
    slot._rent()
    assert 8 < watchdog_ends(account, slot.known["pod_id"]) < 40
    assert account.pods()[-1]["starts"] > 2


def rental(tmp_path: Path) -> Rental:
    """A rented pod whose account is a dummy."""
    nets = SimpleNamespace(lifetime_s=3600, fetch_grace_s=0)
    budget = SimpleNamespace(check=lambda: None, seconds_left=lambda: float("inf"), stop=threading.Event())
    rentals = SimpleNamespace(
        settings=SimpleNamespace(nets=nets), budget=budget, api=SimpleNamespace(find=lambda _: [])
    )
    made = Rental(cast(Rentals, rentals), tmp_path / "pod-1.json")
    made._note(name="pgolf.tests.a.pod-1.0", rented=time.time())
    made.made = made.reached = cast(Machine, SimpleNamespace(close=lambda: None))
    return made


def test_heartbeat_goes_on_whatever_goes_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    this = rental(tmp_path)
    wrong = [*[BadInput("not now")] * 3, *[ValueError("nonsense")] * 3]
    done = threading.Event()

    def renew(machine: Machine) -> None:
        if wrong:
            raise wrong.pop(0)
        done.set()

    monkeypatch.setattr(this, "_renew", renew)
    thread = threading.Thread(target=heartbeat, args=(this.name, 0.01, this.ended, (this._beat,)))
    thread.start()
    assert done.wait(20)
    this.end()
    thread.join(20)
    assert not thread.is_alive()
    assert len([r for r in caplog.records if "not now" in r.message]) == 1
    assert len([r for r in caplog.records if "nonsense" in r.message]) == 1


def test_pod_that_outlives_its_lifetime_is_of_no_use_any_more(tmp_path: Path) -> None:
    this = rental(tmp_path)
    this._note(rented=time.time() - 4000)
    thread = threading.Thread(target=heartbeat, args=(this.name, 0.01, this.ended, (this._beat,)))
    thread.start()
    deadline = time.monotonic() + 20
    while not this.gone():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "lifetime of 3600 s is over" in this.lost
    this.end()
    thread.join(20)
