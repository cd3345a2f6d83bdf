"""What the pods of a record may cost, before one is rented."""

import math
from dataclasses import asdict, dataclass
from typing import Any

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

    Rented pods cost at most what --max-cost, --max-hours and the lifetime of a pod allow.
    """
    if wanted.kind == "ssh":
        listed = wanted.settings.ssh.machines
        machines = min(seeds, wanted.at_once or len(listed), len(listed))
        hours = math.ceil(seeds / machines) * seed_hours
        price = max(machine.price_per_hour for machine in listed)
        kind = ", ".join(machine.name for machine in listed[:machines])
        return Estimate(machines, f"one of yours ({kind})", hours, None, price * seeds * seed_hours, None)
    rent, nets = wanted.settings.runpod.rent, wanted.settings.runpod.nets
    machines = min(seeds, wanted.at_once or seeds)
    hours = math.ceil(seeds / machines) * seed_hours
    most_hours = min(wanted.max_hours or math.inf, (nets.lifetime_s + nets.fetch_grace_s) / 3600)
    price = rent.max_price_per_hour
    kind = f"{rent.gpu_count or ranks} x {' or '.join(rent.gpu_types)}, {rent.cloud.lower()} cloud"
    return Estimate(
        machines=machines,
        kind=kind + (", spot" if rent.spot else ""),
        hours=hours,
        most_hours=most_hours,
        dollars=price * seeds * seed_hours,
        most_dollars=min(wanted.max_cost or math.inf, price * machines * most_hours),
        notes=(OVER,),
    )
