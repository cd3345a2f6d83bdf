"""Machines that fail, counted over a whole record: no more than three alike are ever paid for, whoever starts again."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fakes.tiny import TinyAccount, light, open_tiny

from pgolf.errors import BadInput, RunFailed
from pgolf.pods import Gone
from pgolf.pods.failures import settle_failures, tried
from pgolf.pods.remote import RemotePlace
from pgolf.pods.rental import Rentals
from pgolf.pods.runpod import ApiError
from pgolf.pods.settings import Rent
from pgolf.pods.slots import read_slot, slot_files

__all__ = ["light"]
pytestmark = pytest.mark.usefixtures("light")


def attempt(place: RemotePlace, seed: int, number: int = 1) -> Path:
    folder = place.record / f"seeds/{seed}/attempt-{number}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def take_all(place: RemotePlace, seeds: tuple[int, ...] = (1, 2, 3), tries: int = 3) -> list[Exception | None]:
    """Each seed in a thread of its own asks for a machine, and again when it is told that its machine was lost."""

    def take(seed: int) -> Exception | None:
        error: Exception | None = None
        for _ in range(tries):
            try:
                place.take(attempt(place, seed))
                return None
            except Gone as e:
                error = e
            except (RunFailed, BadInput) as e:
                return e
        return error

    with ThreadPoolExecutor(len(seeds)) as pool:
        return list(pool.map(take, seeds))


def budget_of(place: RemotePlace):
    assert isinstance(place.slots, Rentals)
    return place.slots.budget


def test_three_machines_that_never_answer_end_the_record_whatever_its_seeds(tmp_path: Path) -> None:
    account = TinyAccount("silent")
    place = open_tiny(account, tmp_path, rent=Rent(image="mine:1"))
    assert all(take_all(place))
    place.close()
    assert len(account.made) == 3
    assert not account.pods
    assert place.stop.is_set()
    why = budget_of(place).over
    assert "3 machines in a row (pod-" in why
    assert "no answer by SSH" in why
    assert "8 x NVIDIA H100 80GB HBM3, image mine:1, secure cloud, any data center" in why
    assert "/start.sh" in why
    assert "no answer for 900 s" in why


def test_count_goes_on_after_a_kill_and_begins_anew_after_the_record_has_said_so(tmp_path: Path) -> None:
    account = TinyAccount("silent")
    place = open_tiny(account, tmp_path, runs=1)
    assert isinstance(place.slots, Rentals)
    for seed in (1, 2):  # and then the orchestrator was killed
        slot = place._claim(attempt(place, seed), None)
        with pytest.raises(Gone) as error:
            slot.machine()
        slot.failed(error.value)
        slot.end()
    again = open_tiny(account, tmp_path)
    assert all(take_all(again))
    assert len(account.made) == 3
    for _ in range(2):  # however often it is killed after that
        later = open_tiny(account, tmp_path)
        assert all(take_all(later))
        assert len(account.made) == 3
        assert "no answer by SSH" in budget_of(later).over
    settle_failures(again.record)
    assert all(take_all(open_tiny(account, tmp_path)))
    assert len(account.made) == 6


def test_pod_that_ended_while_nobody_watched_counts_too(tmp_path: Path) -> None:
    account = TinyAccount("good")
    for _ in range(3):  # the orchestrator is killed before the pod is ready, and the pod's watchdog ends it
        place = open_tiny(account, tmp_path)
        slot = place.slots.another()
        slot._rent()
        account.pods.clear()
    place = open_tiny(account, tmp_path)
    assert "the pod ended before it was ready" in budget_of(place).over
    assert len(account.made) == 3
    assert all(read_slot(path)["at_most"] for path in slot_files(place.record))


def test_machines_that_fail_differently_are_bounded_over_the_record(tmp_path: Path) -> None:
    account = TinyAccount(*["silent", "dear", "priceless"] * 10)
    place = open_tiny(account, tmp_path)
    errors = take_all(place)
    place.close()
    assert len(account.made) == 8
    assert all(isinstance(e, RunFailed) for e in errors)
    assert "8 machines of this record failed" in budget_of(place).over
    assert all(take_all(open_tiny(account, tmp_path)))
    assert len(account.made) == 8


def test_image_that_was_changed_after_two_failures_is_not_alike(tmp_path: Path) -> None:
    account = TinyAccount("silent", "silent", "silent", "good")
    for image in ("mine:1", "mine:1", "mine:2"):
        place = open_tiny(account, tmp_path, runs=1, rent=Rent(image=image))
        slot = place._claim(attempt(place, 1), None)
        with pytest.raises(Gone) as error:
            slot.machine()
        slot.failed(error.value)
        slot.end()
    assert tried(place.record).hopeless is None
    assert take_all(open_tiny(account, tmp_path, rent=Rent(image="mine:2")), (1,)) == [None]


def test_after_one_was_ready_failures_end_the_seeds_that_want_more_and_no_seed_that_runs(tmp_path: Path) -> None:
    account = TinyAccount("good", "silent")
    place = open_tiny(account, tmp_path)
    assert take_all(place, (1,)) == [None]
    errors = take_all(place, (2, 3))
    assert all(isinstance(e, RunFailed) and not isinstance(e, Gone) for e in errors)  # which is not tried again
    assert not place.stop.is_set()
    assert [*account.pods] == ["good-1"]
    assert len(account.made) == 9
    place.give_back(attempt(place, 1))
    assert not account.pods  # it does not wait for seeds that have failed


@pytest.mark.parametrize("way", ["priceless", "nan"])
def test_pod_without_a_price_is_refused_and_counts_with_the_bound(tmp_path: Path, way: str) -> None:
    account = TinyAccount(way)
    place = open_tiny(account, tmp_path, max_cost=50.0)
    assert all(take_all(place))
    assert len(account.made) == 3
    assert not account.pods
    assert "price unknown" in budget_of(place).over


def test_request_that_is_refused_for_good_is_made_once(tmp_path: Path) -> None:
    account = TinyAccount("denied")
    place = open_tiny(account, tmp_path)
    assert all(take_all(place))
    assert account.asked <= 3  # one a seed, if all ask at the same time
    assert budget_of(place).over == "RunPod refuses for good: insufficient balance"
    assert account.asked == 1 or place.stop.is_set()
    asked = account.asked
    place.close()
    assert account.asked == asked


def test_refusal_ends_no_seed_that_runs(tmp_path: Path) -> None:
    account = TinyAccount("good", "denied")
    place = open_tiny(account, tmp_path)
    assert take_all(place, (1,)) == [None]
    assert all(take_all(place, (2,)) + take_all(place, (3,)))
    assert account.asked == 2
    assert not place.stop.is_set()
    assert [*account.pods] == ["good-1"]


def test_requests_that_fail_are_tried_with_pauses_and_not_for_ever(tmp_path: Path) -> None:
    account = TinyAccount("failed", "failed", "failed", "good")
    assert take_all(open_tiny(account, tmp_path), (1,)) == [None]
    account = TinyAccount("failed")
    assert all(take_all(open_tiny(account, tmp_path / "other")))
    assert account.asked == 8


def test_seed_that_waits_for_capacity_takes_the_machine_that_another_one_gives_back(tmp_path: Path) -> None:
    account = TinyAccount("good", "no capacity")
    place = open_tiny(account, tmp_path, runs=2)
    assert take_all(place, (1,)) == [None]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(place.take, attempt(place, 2))
        while account.asked < 2:
            time.sleep(0.01)
        place.give_back(attempt(place, 1))
        slot = waiting.result(timeout=10)
    assert slot.name == "pod-1"
    assert [*account.pods] == ["good-1"]
    place.give_back(attempt(place, 2))
    assert not account.pods


def test_no_capacity_for_too_long_ends_the_seed_and_keeps_no_pod_for_it(tmp_path: Path, monkeypatch) -> None:
    account = TinyAccount("good", "no capacity")
    place = open_tiny(account, tmp_path, runs=2)
    assert isinstance(place.slots, Rentals)
    place.slots.settings = place.slots.settings.model_copy(update={"capacity_patience_s": 0.1})
    assert take_all(place, (1,)) == [None]
    (error,) = take_all(place, (2,))
    assert "no pod to be had" in str(error)
    place.give_back(attempt(place, 1))
    assert not account.pods


def test_pods_that_no_seed_needs_any_more_are_ended_at_the_start(tmp_path: Path) -> None:
    account = TinyAccount("good")
    place = open_tiny(account, tmp_path)
    assert take_all(place) == [None] * 3
    assert len(account.pods) == 3  # and then the orchestrator was killed, after two seeds had come home
    for seed in (1, 2):
        (attempt(place, seed) / "pod.json").write_text('{"pid": 1, "started": 1}')
        (attempt(place, seed) / "exit.json").write_text('{"exit_code": 0, "signals": [], "ended": 2}')
    again = open_tiny(account, tmp_path, runs=1)
    assert len(account.pods) == 1
    again.close()
    assert not account.pods


def test_stop_ends_those_that_wait(tmp_path: Path) -> None:
    account = TinyAccount("no capacity")
    place = open_tiny(account, tmp_path)
    threading.Timer(0.2, place.stop.set).start()
    assert all(isinstance(e, Gone) for e in take_all(place, tries=1))
    place.close()
    assert not account.pods


def test_pods_that_cannot_be_ended_keep_no_seed_waiting_for_ever(tmp_path: Path, monkeypatch) -> None:
    account = TinyAccount("good")
    place = open_tiny(account, tmp_path)
    for _ in range(3):
        slot = place.slots.another()
        slot._rent()
        with monkeypatch.context() as broken:
            broken.setattr(account, "delete", lambda pod_id: (_ for _ in ()).throw(ApiError("no answer")))
            slot.end()
    assert len(account.pods) == 3  # their watchdogs end them
    with ThreadPoolExecutor(1) as pool:
        try:
            assert pool.submit(place.take, attempt(place, 1)).result(timeout=10).name == "pod-4"
        finally:
            place.stop.set()
    place.close()
    assert not account.pods


@pytest.mark.parametrize("way", ["priceless", "dear"])
def test_pod_that_an_earlier_process_asked_for_and_that_is_of_no_use_is_ended(tmp_path: Path, way: str) -> None:
    account = TinyAccount(way, "good")
    place = open_tiny(account, tmp_path, runs=1)
    slot = place.slots.another()
    slot._note(asked=time.time())
    account.create(slot.known["name"], Rent(), 8, {}, [])  # and then it was killed
    again = open_tiny(account, tmp_path, runs=1)
    assert not account.pods
    assert len(tried(again.record).failed) == 1
    assert take_all(again, (1,)) == [None]
    again.close()
