"""The cost of a record's rented pods, read from the files of its slots: no restart forgets a cent.

No figure here is less than the truth. A pod whose price, or whose end, is unknown counts with a bound, which is said.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgolf.errors import BadInput, RunFailed
from pgolf.files import write_json
from pgolf.pods.settings import Rent
from pgolf.pods.slots import read_slot, slot_files

log = logging.getLogger(__name__)
OVERHEAD_S = 900.0  # of a seed besides its timed parts: staging, compiling, quantising, fetching


@dataclass
class Budget:
    """Bounds on what a record's pods cost (dollars) and how long they are rented (hours); None is no bound.

    `ending` is why nothing goes on, once a bound is reached or the record is given up; `stop` is set then, which ends
    the record and its pods.
    """

    record: Path
    stop: threading.Event
    max_cost: float | None = None
    max_hours: float | None = None
    seed_hours: float = 0.0  # how long one seed is expected to take
    ending: RunFailed | BadInput | None = None
    watched: bool = False

    @property
    def over(self) -> str | None:
        """Why nothing goes on, in words."""
        return str(self.ending) if self.ending else None

    def too_much(self, price: float, runs: int) -> str | None:
        """Why a pod of `price` dollars an hour is not kept for `runs` seeds: they would cost more than is left."""
        projected = spent(self.record) + price * self.seed_hours * runs
        if self.max_cost is None or projected <= self.max_cost:
            return None
        return (
            f"{runs} seeds at ${price:.2f} an hour would bring the cost to about ${projected:.2f}, over the "
            f"${self.max_cost:.2f} of --max-cost"
        )

    def hours_left(self) -> float:
        """Hours until --max-hours is reached, of those in which a pod is rented; infinity without that bound."""
        return math.inf if self.max_hours is None else self.max_hours - rented_hours(bills(self.record))

    def seconds_left(self) -> float:
        """Seconds until the first bound is reached at the present rate; infinity without bounds."""
        left = 3600 * self.hours_left()
        rows = bills(self.record)
        rate = sum(row.price_per_hour for row in rows if row.until is None)
        if self.max_cost is not None:
            dollars = self.max_cost - sum(row.cost for row in rows)
            left = min(left, 3600 * dollars / rate if rate else math.inf if dollars > 0 else 0.0)
        return left

    def check(self) -> None:
        """Stop the record if a bound is reached."""
        if self.ending is None and not self.seconds_left() > 0:
            hours = not self.hours_left() > 0
            bound = f"--max-hours {self.max_hours}" if hours else f"--max-cost {self.max_cost}"
            why = f"stopped at ${spent(self.record):.2f} spent: {bound} is reached; what is finished is kept"
            self.give_up(RunFailed(why))

    def watch(self, every_s: float, closed: threading.Event, stopped: Callable[[], None]) -> None:
        """Look at the bounds in a thread until `closed` is set, also while no pod is reached yet; call `stopped` again
        and again once the record is to stop."""
        if not self.watched:
            self.watched = True
            threading.Thread(target=self._watch, args=(every_s, closed, stopped), name="budget", daemon=True).start()

    def _watch(self, every_s: float, closed: threading.Event, stopped: Callable[[], None]) -> None:
        while not closed.wait(every_s):
            try:
                self.check()
                if self.stop.is_set():
                    stopped()
            except (OSError, ValueError, RunFailed, BadInput) as e:
                log.error("the cost so far cannot be read: %s", e)

    def give_up(self, error: RunFailed | BadInput) -> None:
        """Stop the record for this reason."""
        if self.ending is None:
            self.ending = error
            log.error("the record ends: %s", error)
        self.stop.set()


@dataclass(frozen=True)
class Bill:
    """What one pod has cost: dollars an hour, from when until when (Unix times; None: still rented), dollars.

    `at_most`: the price or the end is unknown, and a bound stands for it.
    """

    name: str
    pod_id: str
    price_per_hour: float
    began: float
    until: float | None
    cost: float
    at_most: bool

    def as_json(self) -> dict[str, Any]:
        """A row of the manifest."""
        row = {"name": self.name, "pod_id": self.pod_id, "price_per_hour": self.price_per_hour}
        row |= {"from": self.began, "until": self.until, "cost": self.cost}
        return row | ({"at_most": True} if self.at_most else {})


def bills(record: Path) -> list[Bill]:
    """A bill for every pod that was rented."""
    return [bill for slot in map(read_slot, slot_files(record)) if (bill := bill_of(slot))]


def bill_of(slot: dict[str, Any]) -> Bill | None:
    """The bill of a slot; None if no pod came of it."""
    if "pod_id" not in slot or "rented" not in slot:
        return None
    unknown, began, until = not is_price(slot.get("price_per_hour")), float(slot["rented"]), slot.get("ended")
    most = slot.get("max_price_per_hour", Rent().max_price_per_hour)
    price = float(most if unknown else slot["price_per_hour"])
    seconds = max(0.0, (time.time() if until is None else float(until)) - began)
    cost = round(seconds / 3600 * price, 4)
    return Bill(slot["name"], slot["pod_id"], price, began, until, cost, unknown or bool(slot.get("at_most")))


def is_price(value: Any) -> bool:
    """Whether a value is dollars an hour.

    >>> [is_price(value) for value in (2.5, None, float("nan"), float("inf"), -1.0, 0, "2")]
    [True, False, False, False, False, False, False]
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0


def spent(record: Path) -> float:
    """Dollars that all pods of a record have cost up to now."""
    return float(sum(row.cost for row in bills(record)))


def rented_hours(rows: Iterable[Bill]) -> float:
    """Hours in which at least one of these pods was rented."""
    seconds, reached = 0.0, -math.inf
    for row in sorted(rows, key=lambda row: row.began):
        until = max(row.began, time.time() if row.until is None else row.until)
        seconds += max(0.0, until - max(reached, row.began))
        reached = max(reached, until)
    return seconds / 3600


def found_late(slot: Mapping[str, Any], pods: Mapping[str, float | None]) -> dict[str, Any]:
    """What a slot's file is to say of pods that were found under its name and ended just now: prices by id.

    The slot knows one of them, or none: then the reply to its request was lost. Several share a bill that is too high
    rather than too low, as each counts from the request to now.
    """
    told: dict[str, Any] = {"ended": round(time.time(), 3)}
    late = {name: price for name, price in pods.items() if name != slot.get("pod_id")}
    if late:
        prices = [slot.get("price_per_hour")] * ("pod_id" in slot) + [*late.values()]
        told |= {"pod_id": slot.get("pod_id", next(iter(late))), "rented": slot.get("rented", slot.get("asked"))}
        told["price_per_hour"] = sum(price or 0.0 for price in prices) if all(map(is_price, prices)) else None
        told["at_most"] = True
    return told


def note_end(record: Path, name: str, pod_id: str, price: float | None) -> None:
    """Note in the files of a record, if it is here, that a pod of this name was ended just now."""
    for path in slot_files(record):
        slot = read_slot(path)
        if slot.get("name") == name:
            write_json(path, {**slot, **found_late(slot, {pod_id: price})})
