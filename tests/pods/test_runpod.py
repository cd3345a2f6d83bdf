"""Rented pods: a server that holds every request against RunPod's OpenAPI, and whose pods are real sshds."""

import errno
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import jobs
import pytest
from fakes.account import MISSING, OPENAPI, FakeRunpod
from fakes.light import light_python
from fakes.programs import PROGRAMS, TOO_BIG, speedrun_data, speedrun_program
from fakes.sshd import MISSING as NO_SSHD
from fakes.sshd import SSHD
from filelock import FileLock

from pgolf import tracks
from pgolf.errors import BadInput, RunFailed
from pgolf.pods.money import Budget, bills, spent
from pgolf.pods.reap import reap
from pgolf.pods.remote import RemotePlace
from pgolf.pods.rental import Rental, Rentals
from pgolf.pods.runpod import Runpod
from pgolf.pods.settings import Rent, read_settings
from pgolf.pods.slots import lock_file
from pgolf.pods.ssh import Data
from pgolf.record.early_stop import Judge, write_decision
from pgolf.record.job import Job
from pgolf.record.progress import Progress
from pgolf.record.runs_data import find_data
from pgolf.record.runs_folder import describe_runs, gather_runs, run_job, working_on_runs
from pgolf.record.runs_request import check_runs
from pgolf.record.seeds import EndedEarly, Stopped, TakenDown, attempts, run_seed

pytestmark = [
    pytest.mark.record,
    pytest.mark.skipif(SSHD is None, reason=NO_SSHD),
    pytest.mark.skipif(not OPENAPI.exists(), reason=MISSING),
]

with_all_faults = pytest.mark.skipif(os.environ.get("PGOLF_ALL_FAULTS") != "1", reason="with `make faults`")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeRunpod]:
    running = FakeRunpod(tmp_path_factory.mktemp("runpod"))
    yield running
    running.close()


@pytest.fixture
def account(server: FakeRunpod) -> Iterator[FakeRunpod]:
    """The account, for one test: whatever goes wrong, its pods end, and no reply broke the contract."""
    yield server
    server.tell("misbehave", **dict.fromkeys(("no_capacity", "unauthorized", "too_many", "server_error"), 0))
    left = server.alive()
    for pod in left:
        server.tell("kill", id=pod["id"])
    assert not left
    assert not server.ledger()["faults"]


@pytest.fixture
def place(account: FakeRunpod, tmp_path: Path) -> Iterator[RemotePlace]:
    opened = open_place(account, tmp_path)
    yield opened
    opened.close()


def open_place(
    account: FakeRunpod, tmp_path: Path, runs: int = 1, budget: Budget | None = None, data: Data | None = None, **nets
) -> RemotePlace:
    more = "\n".join(f"{name} = {value}" for name, value in nets.items())
    pods_file = account.pods_file(tmp_path / "pods.toml", python=light_python(tmp_path / "light"))
    text = pods_file.read_text().replace("\n[runpod.nets]", "\n[runpod.nets]")
    for name in nets:
        text = "\n".join(line for line in text.splitlines() if not line.startswith(f"{name} ="))
    (tmp_path / "pods.toml").write_text(text + "\n" + more)
    settings = read_settings(tmp_path / "pods.toml").runpod
    stop = threading.Event()
    record = (tmp_path / "record").resolve()
    api = Runpod(settings.api, account.key, patience_s=20.0)
    budget = budget or Budget(record, stop)
    data = data or Data(tmp_path, {})
    rentals = Rentals(api, settings, settings.rent, 1, record, data, budget)
    opened = RemotePlace(record, rentals, budget.stop, runs, data)
    rentals.runs = opened.runs
    return opened


def job(tmp_path: Path, program: str = "print('→ done')") -> Job:
    return jobs.job((tmp_path / "record/seeds").resolve(), program)


def run(tmp_path: Path, place: RemotePlace, seed: int = 42, program: str = "print('→ done')"):
    return run_seed(job(tmp_path, program), seed, place.stop, place=place)


def test_seed_on_a_rented_pod_that_ends_with_it(account: FakeRunpod, place: RemotePlace, tmp_path: Path) -> None:
    before = len(account.pods())
    done = run(tmp_path, place)
    assert (done.folder / "train.log").read_text() == "→ done\n"
    assert not account.alive()
    (pod,) = account.pods()[before:]
    assert pod["name"].startswith("pgolf.tests.record.pod-1.")
    (bill,) = bills(tmp_path / "record")
    assert (bill.pod_id, bill.at_most) == (pod["id"], False)
    assert bill.cost == pytest.approx(2.0 * pod["seconds"] / 3600, abs=0.002)


def test_one_pod_takes_one_seed_after_another(account: FakeRunpod, tmp_path: Path) -> None:
    before, place = len(account.pods()), open_place(account, tmp_path, runs=2)
    run(tmp_path, place, 42)
    assert len(account.alive()) == 1
    run(tmp_path, place, 314)
    assert not account.alive()
    assert len(account.pods()) == before + 1
    place.close()


@pytest.mark.parametrize(
    "trouble",
    [
        {"no_capacity": 2},
        pytest.param({"too_many": 2}, marks=with_all_faults),
        pytest.param({"lost_reply": 1}, marks=with_all_faults),
        {"lost_reply": 1, "forgotten": 1},
        pytest.param({"late_ip": 1}, marks=with_all_faults),
        {"wrong_gpu": 1},
    ],
    ids="+".join,
)
def test_trouble_with_renting_leaves_one_seed_and_no_pod(
    account: FakeRunpod, place: RemotePlace, tmp_path: Path, trouble: dict[str, int]
) -> None:
    before = len(account.pods())
    account.tell("misbehave", **trouble)
    done = run(tmp_path, place)
    assert done.folder.name == "attempt-1"
    assert not account.alive()
    assert len(account.pods()) - before == (2 if "wrong_gpu" in trouble else 1)


def test_refused_key_is_bad_input_and_nothing_is_made(account: FakeRunpod, place: RemotePlace, tmp_path: Path) -> None:
    before = len(account.pods())
    account.tell("misbehave", unauthorized=1)
    with pytest.raises(BadInput, match="RUNPOD_API_KEY"):
        run(tmp_path, place)
    assert len(account.pods()) == before


@pytest.mark.parametrize("how", [pytest.param("kill", marks=with_all_faults), "spot"])
def test_pod_that_goes_in_the_middle_is_another_attempt(
    account: FakeRunpod, place: RemotePlace, tmp_path: Path, how: str
) -> None:
    def take_away() -> None:
        log = tmp_path / "record/seeds/42/attempt-1/train.log"
        while not (log.exists() and log.stat().st_size):
            time.sleep(0.1)
        account.tell(how, id=account.alive()[0]["id"])

    thread = threading.Thread(target=take_away)
    thread.start()
    with pytest.raises(TakenDown):
        run(tmp_path, place, program="import time; print('so far', flush=True); time.sleep(300)")
    thread.join()
    assert run(tmp_path, place).folder.name == "attempt-2"
    first, second = attempts(tmp_path / "record", [42])
    assert (first.outcome, second.outcome) == ("lost", "finished")
    assert "so far" in (first.reason or "")
    assert not account.alive()


def test_runs_of_a_speedrun_share_a_pod_and_the_next_one_where_it_is_lost(account: FakeRunpod, tmp_path: Path) -> None:
    new, old = speedrun_program(tmp_path / "new"), speedrun_program(tmp_path / "old", 100.0)
    old.write_text(old.read_text().replace("while HANGS_UNLESS and", 'while "/3/attempt-1" in os.getcwd() and'))
    request = check_runs(tracks.load(str(PROGRAMS / "speedrun_track.toml")), str(new), str(old))
    record = describe_runs(tmp_path, request, find_data(request, speedrun_data(tmp_path / "data")), "record")
    before = len(account.pods())
    place = open_place(account, tmp_path, runs=6, data=Data(tmp_path / "data", record.files))
    finished = {}
    with working_on_runs(record):
        for number, variant in record.runs:
            running = record.folder / f"variants/{variant}/{number}/attempt-1/train.log"
            if number == 3:
                threading.Thread(target=lambda log=running: kill_when_there(account, log), daemon=True).start()
                with pytest.raises(TakenDown):
                    run_seed(run_job(record, variant), number, place.stop, place=place)
            finished[number] = run_seed(run_job(record, variant), number, place.stop, place=place).folder
    place.close()
    inputs = gather_runs(record, finished)
    assert [run.machine for run in inputs.runs] == ["pod-1"] * 2 + ["pod-2"] * 4
    assert [len(run.attempts) for run in inputs.runs] == [1, 1, 2, 1, 1, 1]
    assert all(run.log and run.log.parent.name == "logs" for run in inputs.runs)
    assert inputs.reasons == ()
    assert len(account.pods()) == before + 2


def kill_when_there(account: FakeRunpod, path: Path) -> None:
    """Cut the power of the pod that lives once a file has come home from it."""
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    for pod in account.alive():
        account.tell("kill", id=pod["id"])


def test_bounds_of_money_and_time_end_the_record(account: FakeRunpod, tmp_path: Path) -> None:
    for bound in ({"max_cost": 0.001}, {"max_hours": 0.001}):
        record = tmp_path / next(iter(bound))
        stop = threading.Event()
        budget = Budget((record / "record").resolve(), stop, **bound)
        record.mkdir()
        place = open_place(account, record, budget=budget)
        with pytest.raises(RunFailed):
            run(record, place, program="import time; time.sleep(300)")
        place.close()
        assert budget.over and f"--{next(iter(bound)).replace('_', '-')}" in budget.over
        assert spent(record / "record") < 0.05
        assert not account.alive()


def test_seeds_that_would_cost_too_much_are_not_begun(account: FakeRunpod, tmp_path: Path) -> None:
    budget = Budget((tmp_path / "record").resolve(), threading.Event(), max_cost=1.0, seed_hours=1.0)
    place = open_place(account, tmp_path, budget=budget)
    with pytest.raises(Stopped):
        run(tmp_path, place)
    place.close()
    assert "about $2.0" in str(budget.over)
    assert not attempts(tmp_path / "record", [42])


def test_seed_that_misses_a_limit_is_ended_with_its_pod_also_by_the_next_process(
    account: FakeRunpod, tmp_path: Path
) -> None:
    judge, place = (
        Judge(("limits",), tracks.load("10min_16mb").limits, tracks.EarlyStop()),
        open_place(account, tmp_path),
    )
    this = job(tmp_path, TOO_BIG)
    pod = place.open(this.folder / "42/attempt-1")
    pod.put(this.source / "train_gpt.py", "train_gpt.py")
    pod.start(this.program.start(this.nproc), {})
    decision, progress, offset = None, Progress(), 0
    while decision is None:
        text, offset = pod.output(offset, "events.jsonl")
        progress.feed(text)
        decision = judge(progress)
    write_decision(pod.folder, decision)  # and then this process was killed
    (slot,) = place.held.values()
    assert isinstance(slot, Rental)
    slot.ended.set()  # no more heartbeats
    before = len(account.pods())
    with pytest.raises(EndedEarly, match="over the limit of 16,000,000"):
        run_seed(this, 42, threading.Event(), place=open_place(account, tmp_path))
    assert not account.alive()
    assert len(account.pods()) == before
    (attempt,) = attempts(tmp_path / "record", [42])
    assert (attempt.outcome, attempt.exit_code) == ("ended early", 1)


def test_request_whose_reply_never_came_is_found_by_the_next_process(account: FakeRunpod, tmp_path: Path) -> None:
    place = open_place(account, tmp_path)
    slot = place.slots.another()
    assert isinstance(slot, Rental)
    api, rent = Runpod(account.url + "/v1", account.key), Rent()
    slot._note(asked=time.time())  # and then it was killed, with the request on its way
    made = api.create(slot.known["name"], rent, 1, {}, ["sleep", "300"])
    again = open_place(account, tmp_path)
    (found,) = again.free
    assert json.loads((tmp_path / "record/pods/pod-1.json").read_text())["pod_id"] == made.id
    again.close()
    assert not account.alive()
    assert found.name == "pod-1"


def watchdog_ends(account: FakeRunpod, pod_id: str) -> float:
    """Seconds until the pod has ended itself."""
    began = time.monotonic()
    while any(p["id"] == pod_id for p in account.alive()):
        assert time.monotonic() - began < 60
        time.sleep(0.2)
    return time.monotonic() - began


def test_pod_that_nobody_reaches_ends_itself(account: FakeRunpod, tmp_path: Path) -> None:
    place = open_place(account, tmp_path, first_lease_s=2, fetch_grace_s=1)
    slot = place.slots.another()
    assert isinstance(slot, Rental)
    slot._rent()
    assert watchdog_ends(account, slot.known["pod_id"])


def test_pod_whose_orchestrator_died_waits_for_its_seed_to_be_fetched_and_ends_itself(
    account: FakeRunpod, tmp_path: Path
) -> None:
    place = open_place(account, tmp_path, lease_s=3, fetch_grace_s=8, heartbeat_s=1.0)
    this = job(tmp_path)
    pod = place.open(this.folder / "42/attempt-1")
    pod.put(this.source / "train_gpt.py", "train_gpt.py")
    pod.start(this.program.start(this.nproc), {})
    (slot,) = place.held.values()
    assert isinstance(slot, Rental)
    time.sleep(5)
    assert account.alive()  # the lease is renewed
    slot.ended.set()  # no more heartbeats
    assert watchdog_ends(account, slot.known["pod_id"]) > 6
    log = next((account.folder / slot.known["pod_id"] / ".pgolf").glob("watchdog.log")).read_text()
    assert "its lease was not renewed for 3 s" in log
    account.wait()


def test_pod_past_its_lifetime_ends_itself(account: FakeRunpod, tmp_path: Path) -> None:
    place = open_place(account, tmp_path, lifetime_s=4, fetch_grace_s=1)
    slot = place.slots.another()
    assert isinstance(slot, Rental)
    slot._rent()
    assert watchdog_ends(account, slot.known["pod_id"]) > 2


def test_fake_refuses_what_the_published_api_would(account: FakeRunpod) -> None:
    headers = {"Authorization": f"Bearer {account.key}"}
    good = {"name": "x", "gpuTypeIds": ["NVIDIA L4"], "dockerStartCmd": ["sleep", "1"]}
    for wrong in ({"gpuTypeIds": ["NVIDIA L5"]}, {"gpuCount": 0}, {"gpus": 8}, {"name": "x" * 192}, {"env": {"A": 1}}):
        reply = httpx.post(f"{account.url}/v1/pods", json=good | wrong, headers=headers)
        assert reply.status_code == 400, wrong
    assert httpx.get(f"{account.url}/v1/pods?nme=x", headers=headers).status_code == 400
    assert httpx.get(f"{account.url}/v1/pods").status_code == 401


def test_spot_is_asked_for_where_it_is_wanted(account: FakeRunpod) -> None:
    api = Runpod(account.url + "/v1", account.key)
    pod = api.create("pgolf.tests.spot.pod-1.0", replace_rent(spot=True), 1, {}, ["sleep", "300"])
    listed = httpx.get(f"{account.url}/v1/pods/{pod.id}", headers={"Authorization": f"Bearer {account.key}"}).json()
    assert listed["interruptible"] is True
    api.delete(pod.id)
    api.delete(pod.id)  # a second time is fine
    assert api.get(pod.id) is None


def replace_rent(**changes) -> Rent:
    return Rent().model_copy(update=changes)


def test_reaper_ends_own_pods_that_nobody_works_on_and_no_others(account: FakeRunpod, tmp_path: Path) -> None:
    api = Runpod(account.url + "/v1", account.key)
    named = {
        record: api.create(f"pgolf.{record}.pod-1.0", Rent(), 1, {}, ["sleep", "300"]).id
        for record in ("tests.alive", "tests.here", "tests.dead", "somebody.dead")
    }
    named["not pgolf's"] = api.create("my pod", Rent(), 1, {}, ["sleep", "300"]).id
    (tmp_path / "here").mkdir()
    with FileLock(lock_file(tmp_path / "here")):
        ended = reap(api, "tests", live={"alive"}, runs_dir=tmp_path)
    assert [pod.record_id for pod in ended] == ["dead"]
    left = {pod["id"] for pod in account.alive()}
    assert left == set(named.values()) - {named["tests.dead"]}
    for pod_id in left:
        api.delete(pod_id)


def test_one_pod_that_cannot_be_noted_keeps_no_other_from_being_ended(
    account: FakeRunpod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = open_place(account, tmp_path)
    for _ in range(2):
        slot = place.slots.another()
        assert isinstance(slot, Rental)
        slot._rent()
        place.free.append(slot)
    note = Rental._note

    def full(self: Rental, **more: object) -> None:
        if self.name == "pod-2":
            raise OSError(errno.ENOSPC, "No space left on device")
        note(self, **more)

    monkeypatch.setattr(Rental, "_note", full)
    with pytest.raises(OSError, match="No space"):
        place.close()
    assert not account.alive()
