"""What pods cost: never less than the truth, whatever the API said, and whoever was killed meanwhile."""

import json
import math
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from fakes.tiny import TinyAccount, light, open_tiny

from pgolf.errors import RunFailed
from pgolf.files import write_json
from pgolf.pods import Gone
from pgolf.pods.failures import tried
from pgolf.pods.money import Bill, Budget, bills, rented_hours, spent
from pgolf.pods.reap import reap
from pgolf.pods.remote import RemotePlace
from pgolf.pods.rental import Rental, Rentals
from pgolf.pods.runpod import ApiError
from pgolf.record.costs import list_costs_if_free

__all__ = ["light"]


def slot(record: Path, number: int, **known: object) -> None:
    write_json(record / f"pods/pod-{number}.json", {"name": f"pgolf.tests.record.pod-{number}.0"} | known)


def test_unknown_price_and_end_are_bounds_that_are_said(tmp_path: Path) -> None:
    now = time.time()
    slot(tmp_path, 1, pod_id="a", price_per_hour=20.0, rented=now - 3600, ended=now - 1800)
    slot(tmp_path, 2, pod_id="b", price_per_hour=None, rented=now - 3600, ended=now, max_price_per_hour=30.0)
    slot(tmp_path, 3, pod_id="c", price_per_hour=20.0, rented=now - 3600, ended=now, at_most=True)
    slot(tmp_path, 4, asked=now, ended=now)  # nothing came of it
    rows = {bill.pod_id: bill for bill in bills(tmp_path)}
    assert {name: round(bill.cost, 2) for name, bill in rows.items()} == {"a": 10.0, "b": 30.0, "c": 20.0}
    assert {name: bill.at_most for name, bill in rows.items()} == {"a": False, "b": True, "c": True}
    assert ["at_most" in bill.as_json() for bill in rows.values()] == [False, True, True]
    assert spent(tmp_path) == pytest.approx(60.0, abs=0.01)


@pytest.mark.parametrize("price", ["NaN", "-20.0", "0", '"20"', "Infinity"])
def test_price_in_a_slots_file_that_is_none_turns_no_bound_off(tmp_path: Path, price: str) -> None:
    now = time.time()
    slot(tmp_path, 1, pod_id="a", price_per_hour=99, rented=now - 3600, max_price_per_hour=40.0)
    path = tmp_path / "pods/pod-1.json"
    path.write_text(path.read_text().replace('"price_per_hour": 99', f'"price_per_hour": {price}'))
    budget = Budget(tmp_path, threading.Event(), max_cost=30.0)
    assert math.isfinite(spent(tmp_path))
    assert budget.seconds_left() < 0
    budget.check()
    assert budget.stop.is_set()
    assert "--max-cost 30.0 is reached" in str(budget.over)


def test_clock_that_went_back_makes_no_cost_negative(tmp_path: Path) -> None:
    slot(tmp_path, 1, pod_id="a", price_per_hour=20.0, rented=time.time() + 3600)
    assert spent(tmp_path) == 0.0


def test_hours_are_those_in_which_a_pod_was_rented_over_all_processes(tmp_path: Path) -> None:
    def bill(began: float, until: float) -> Bill:
        return Bill("", "", 1.0, 3600 * began, 3600 * until, 0.0, False)

    assert rented_hours([]) == 0
    assert rented_hours([bill(0, 1), bill(0.5, 2), bill(0.6, 0.7), bill(10, 11)]) == pytest.approx(3.0)
    now = time.time()
    slot(tmp_path, 1, pod_id="a", price_per_hour=20.0, rented=now - 90000, ended=now - 90000 + 3600)  # yesterday
    slot(tmp_path, 2, pod_id="b", price_per_hour=20.0, rented=now - 1800)
    assert Budget(tmp_path, threading.Event(), max_hours=2.0).hours_left() == pytest.approx(0.5, abs=0.01)
    assert Budget(tmp_path, threading.Event(), max_hours=2.0).seconds_left() == pytest.approx(1800, abs=5)
    over = Budget(tmp_path, threading.Event(), max_cost=1000.0, max_hours=1.5)
    over.check()
    assert "--max-hours 1.5 is reached" in str(over.over)


def first(place: RemotePlace) -> Rental:
    rental = place.slots.another()
    assert isinstance(rental, Rental)
    return rental


@pytest.mark.usefixtures("light")
@pytest.mark.parametrize("when", ["it is given back", "the record ends"])
def test_pod_whose_reply_was_lost_and_that_is_found_later_is_in_the_bill(tmp_path: Path, when: str) -> None:
    account = TinyAccount("lost", hidden=4 if when == "it is given back" else 5)
    place = open_tiny(account, tmp_path)
    rental = first(place)
    with pytest.raises(RunFailed):
        rental.machine()
    assert not bills(place.record)
    known = json.loads(rental.path.read_text())
    write_json(rental.path, known | {"asked": time.time() - 3600})
    rental.end()
    assert bool(account.pods) == (when == "the record ends")
    place.close()
    assert not account.pods
    (bill,) = bills(place.record)
    assert (bill.pod_id, bill.at_most) == ("lost-1", True)
    assert bill.cost == pytest.approx(20.0, abs=0.1)


@pytest.mark.usefixtures("light")
def test_pod_of_an_earlier_process_that_is_of_no_use_is_in_the_bill(tmp_path: Path) -> None:
    account = TinyAccount("lost")
    place = open_tiny(account, tmp_path)
    rental = first(place)
    rental._note(asked=time.time() - 3600, rent={"gpu_types": ["another"], "gpus": 1})
    with pytest.raises(RunFailed):
        account.create(rental.known["name"], place.slots.rent, 1, {}, [])  # and then it was killed
    assert isinstance(place.slots, Rentals)
    open_tiny(account, tmp_path)
    assert not account.pods
    (bill,) = bills(place.record)
    assert bill.cost == pytest.approx(20.0, abs=0.1)


@pytest.mark.usefixtures("light")
@pytest.mark.parametrize("killed", [False, True])
def test_bounds_hold_while_no_pod_is_reached_yet(tmp_path: Path, killed: bool) -> None:
    account = TinyAccount("good")
    place = open_tiny(account, tmp_path, max_cost=5.0)
    rental = first(place)
    rental._rent()
    if killed:
        place = open_tiny(account, tmp_path, max_cost=5.0)
    rental._note(rented=time.time() - 3600)
    assert place.stop.wait(10)
    assert isinstance(place.slots, Rentals)
    assert "--max-cost 5.0 is reached" in str(place.slots.budget.over)
    place.close()


@pytest.mark.usefixtures("light")
def test_pod_that_makes_the_seeds_too_dear_is_not_kept(tmp_path: Path) -> None:
    account = TinyAccount("good")
    place = open_tiny(account, tmp_path, max_cost=15.0, seed_hours=1.0)
    with pytest.raises(RunFailed):
        place.take(tmp_path / "record/seeds/1/attempt-1")
    assert isinstance(place.slots, Rentals)
    assert "3 seeds at $20.00 an hour" in str(place.slots.budget.over)
    assert place.stop.is_set()
    assert not account.pods


@pytest.mark.usefixtures("light")
def test_pod_that_the_reaper_ends_costs_nothing_from_then_on(tmp_path: Path) -> None:
    account = TinyAccount("good", "lost")
    place = open_tiny(account, tmp_path)
    for _ in range(2):
        rental = first(place)
        rental._note(asked=time.time() - 3600)
        with suppress(ApiError):
            pod = account.create(rental.known["name"], place.slots.rent, 8, {}, [])
            rental._note(pod_id=pod.id, price_per_hour=pod.price, rented=rental.known["asked"])
    assert len(reap(account, "tests", runs_dir=tmp_path)) == 2
    time.sleep(0.1)
    assert [(bill.pod_id, bill.at_most) for bill in bills(place.record)] == [("good-1", False), ("lost-2", True)]
    assert all(bill.until and bill.until < time.time() for bill in bills(place.record))
    assert spent(place.record) == pytest.approx(40.0, abs=0.1)
    list_costs_if_free(place.record)
    manifest = json.loads((place.record / "manifest.json").read_text())
    assert [row.get("at_most") for row in manifest["pods"]] == [None, True]
    assert manifest["cost"] == pytest.approx(40.0, abs=0.1)


@pytest.mark.usefixtures("light")
def test_bound_that_is_reached_during_a_pods_setup_ends_the_pod_at_once(tmp_path: Path, monkeypatch) -> None:
    def endless(machine, wanted) -> None:
        assert machine.closed.wait(10)
        raise Gone("its connection was closed")

    monkeypatch.setattr("pgolf.pods.rental.prepare", endless)
    account = TinyAccount("good")
    place = open_tiny(account, tmp_path, max_hours=0.2 / 3600)
    with pytest.raises(Gone):
        place.take(tmp_path / "record/seeds/1/attempt-1")
    assert not account.pods
    assert isinstance(place.slots, Rentals)
    assert "--max-hours" in str(place.slots.budget.over)
    assert not tried(place.record).failed
