"""What the pods of a record may cost, before one is rented."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from pgolf.errors import BadInput
from pgolf.pods.failures import ALIKE_MOST, ATTEMPTS_MOST, MACHINES_MOST
from pgolf.pods.places import Wanted

OVER = "RunPod tells no price before it rents; the bound max_price_per_hour of pods.toml stands for it"


@dataclass(frozen=True)
class Estimate:
    """Machines, hours and dollars of a record's seeds: expected, and at most.

    Attributes
    ----------
    machines : machines at the same time.
    kind : what each of them is.
    hours, most_hours : from the first to the last of them.
    dollars, most_dollars : of all of them.
    notes : where the figures come from, a sentence each.
    """

    machines: int
    kind: str
    hours: float
    most_hours: float | None
    dollars: float
    most_dollars: float | None
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The same for JSON; None is unbounded."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The same for people."""
        plural = "s" if self.machines > 1 else ""
        most = "no bound" if self.most_hours is None else f"at most {self.most_hours:.1f}"
        cost = "no bound" if self.most_dollars is None else f"at most ${self.most_dollars:,.2f}"
        return [
            f"{self.machines} machine{plural} at a time, each {self.kind}",
            f"about {self.hours:.1f} hours ({most}), about ${self.dollars:,.2f} ({cost})",
            *self.notes,
        ]


def estimate(wanted: Wanted, seeds: int, seed_hours: float, ranks: int) -> Estimate:
    """Estimate the pods of `seeds` seeds of `seed_hours` each on `ranks` ranks.

    Rented pods cost at most what --max-cost and --max-hours allow, and the lifetimes of all that may be rented.
    """
    if wanted.kind == "ssh":
        listed = wanted.settings.ssh.machines
        machines = min(seeds, wanted.at_once or len(listed), len(listed))
        hours = math.ceil(seeds / machines) * seed_hours
        price = max(machine.price_per_hour for machine in listed)
        kind = ", ".join(machine.name for machine in listed[:machines])
        return Estimate(machines, f"one of yours ({kind})", hours, None, price * seeds * seed_hours, None)
    return _of_rented(wanted, seeds, seed_hours, ranks)


def _of_rented(wanted: Wanted, seeds: int, seed_hours: float, ranks: int) -> Estimate:
    rent, small, nets = wanted.settings.runpod.rent, wanted.settings.runpod.rehearse, wanted.settings.runpod.nets
    machines, price = min(seeds, wanted.at_once or seeds), rent.max_price_per_hour
    life, pods = (nets.lifetime_s + nets.fetch_grace_s) / 3600, seeds * ATTEMPTS_MOST + MACHINES_MOST
    small_pods = (1 + MACHINES_MOST) * wanted.rehearse
    kind = f"{rent.gpu_count or ranks} x {' or '.join(rent.gpu_types)}, {rent.cloud.lower()} cloud"
    notes = [
        OVER,
        f"at most {pods} pods of {life:.1f} hours each: {ATTEMPTS_MOST} attempts at a seed that loses its machine, and "
        f"{MACHINES_MOST} pods that are not fit; {ALIKE_MOST} that fail alike before any was ready end the record",
        "left out: attempts after a kill of this command, and the minutes in which pods that reach a bound are ended",
    ]
    if wanted.rehearse:
        notes.append(
            f"the rehearsal is on one pod of at most ${small.max_price_per_hour:.2f} an hour, for some minutes"
        )
    if missing := " and ".join(wanted.missing_bounds):
        notes.append(f"{missing} must be given to start this, or --no-bound")
    return Estimate(
        machines=machines,
        kind=kind + (", spot" if rent.spot else ""),
        hours=math.ceil(seeds / machines) * seed_hours,
        most_hours=min(wanted.max_hours or math.inf, (math.ceil(pods / machines) + small_pods) * life),
        dollars=price * seeds * seed_hours,
        most_dollars=min(
            wanted.max_cost or math.inf,
            price * machines * (wanted.max_hours or math.inf),
            (price * pods + small.max_price_per_hour * small_pods) * life,
        ),
        notes=tuple(notes),
    )


def check_bounds(wanted: Wanted, seeds: int, seed_hours: float, ranks: int) -> None:
    """BadInput, with the estimate, if pods are to be rented without a bound that was given or waived."""
    if not wanted.missing_bounds:
        return
    expected = estimate(wanted, seeds, seed_hours, ranks)
    raise BadInput(
        f"--pods runpod rents machines by the hour: give {' and '.join(wanted.missing_bounds)}, at which they end, or "
        f"--no-bound. This record is expected to take about {expected.hours:.1f} hours and ${expected.dollars:,.2f}; "
        "--plan shows how that is counted"
    )
