"""The cost of a record's rented pods, read from the files of its slots: no restart forgets a cent."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgolf.pods import Gone
from pgolf.pods.slots import read_slot, slot_files

OVERHEAD_S = 900.0  # of a seed besides its timed parts: staging, compiling, quantising, fetching


@dataclass
class Budget:
    """Bounds on what a record's pods cost (dollars) and how long they are rented (hours); None is no bound.

    `over` is the reason once a bound is reached; `stop` is set then, which ends the record and its pods.
    """

    record: Path
    stop: threading.Event
    max_cost: float | None = None
    max_hours: float | None = None
    seed_hours: float = 0.0  # how long one seed is expected to take
    over: str | None = None

    def __post_init__(self) -> None:
        self.began = time.time()

    def admit(self, price: float, runs: int) -> None:
        """Stop the record and raise Gone if `runs` seeds at `price` dollars an hour would cost more than is left."""
        projected = spent(self.record) + price * self.seed_hours * runs
        if self.max_cost is not None and projected > self.max_cost:
            self.over = (
                f"{runs} seeds at ${price:.2f} an hour would bring the cost to about ${projected:.2f}, over the "
                f"${self.max_cost:.2f} of --max-cost"
            )
            self.stop.set()
            raise Gone(self.over)

    def seconds_left(self) -> float:
        """Seconds until the first bound is reached at the present rate; infinity without bounds."""
        left = [float("inf")]
        if self.max_hours is not None:
            left.append(3600 * self.max_hours - (time.time() - self.began))
        rate = sum(row["price_per_hour"] for row in bills(self.record) if row["until"] is None)
        if self.max_cost is not None and rate:
            left.append(3600 * (self.max_cost - spent(self.record)) / rate)
        return min(left)

    def check(self) -> None:
        """Stop the record if a bound is reached."""
        if self.over is None and self.seconds_left() <= 0:
            bounds = {"--max-cost": self.max_cost, "--max-hours": self.max_hours}
            named = ", ".join(f"{name} {value}" for name, value in bounds.items() if value is not None)
            self.over = f"stopped at ${spent(self.record):.2f} spent: {named} is reached; what is finished is kept"
            self.stop.set()


def bills(record: Path) -> list[dict[str, Any]]:
    """A row for every pod that was rented: price (dollars an hour), from and until (Unix times), cost (dollars)."""
    rows = []
    for path in slot_files(record):
        slot: dict[str, Any] = read_slot(path)
        if "rented" not in slot:
            continue
        until = slot.get("ended")
        seconds = (until or time.time()) - slot["rented"]
        rows.append(
            {
                "name": slot["name"],
                "pod_id": slot["pod_id"],
                "price_per_hour": slot["price_per_hour"],
                "from": slot["rented"],
                "until": until,
                "cost": round(seconds / 3600 * slot["price_per_hour"], 4),
            }
        )
    return rows


def spent(record: Path) -> float:
    """Dollars that all pods of a record have cost up to now."""
    return float(sum(row["cost"] for row in bills(record)))
