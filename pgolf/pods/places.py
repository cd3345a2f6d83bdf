"""Which pods a record runs on: check what a user asks for, and open the place."""

import logging
import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from filelock import FileLock, Timeout

from pgolf.errors import BadInput, RunFailed, did_you_mean
from pgolf.pods import Place
from pgolf.pods.local import ThisMachine
from pgolf.pods.money import Budget
from pgolf.pods.placed import started_elsewhere
from pgolf.pods.settings import Rent, Settings, read_settings
from pgolf.pods.slots import lock_file, read_slot, slot_files

if TYPE_CHECKING:
    from pgolf.pods.ssh import Data

log = logging.getLogger(__name__)
KINDS = ("local", "ssh", "runpod")
KEY = "RUNPOD_API_KEY"


@dataclass(frozen=True)
class Wanted:
    """Where seeds are to run.

    `at_once` pods at the same time (None: one a seed); `rehearse`: the packed file first runs end to end on a small
    pod; `max_cost` (dollars) and `max_hours` are hard bounds; `no_bound`: the user wants none for those that are None.
    """

    kind: Literal["local", "ssh", "runpod"]
    at_once: int | None
    rehearse: bool
    max_cost: float | None
    max_hours: float | None
    settings: Settings
    no_bound: bool = False

    @property
    def remote(self) -> bool:
        """Whether the pods are elsewhere."""
        return self.kind != "local"

    @property
    def missing_bounds(self) -> list[str]:
        """The options for bounds that have to be given before a pod is rented."""
        bounds = {"--max-cost": self.max_cost, "--max-hours": self.max_hours}
        asked = self.kind == "runpod" and not self.no_bound
        return [name for name, value in bounds.items() if asked and value is None]


def check_wanted(
    kind: str = "local",
    at_once: int | None = None,
    rehearse: bool = False,
    max_cost: float | None = None,
    max_hours: float | None = None,
    pods_file: Path | None = None,
    no_bound: bool = False,
) -> Wanted:
    """Check what is asked for; BadInput for an unknown kind, an invalid bound, or an option that the kind lacks.

    Missing bounds are looked for by `estimate.check_bounds`, since a plan needs none.
    """
    if kind not in KINDS:
        raise BadInput(f"--pods {kind}: no such kind of pods{did_you_mean(kind, KINDS)}; there are: {', '.join(KINDS)}")
    for name, value in (("--max-cost", max_cost), ("--max-hours", max_hours), ("--pods-at-once", at_once)):
        if value is not None and not 0 < value < math.inf:
            raise BadInput(f"{name} {value}: give a number above 0")
    if kind != "runpod" and (max_cost is not None or max_hours is not None or no_bound):
        raise BadInput(
            f"--max-cost, --max-hours and --no-bound are for rented pods; with --pods {kind} nothing is rented"
        )
    if kind == "local" and (at_once or rehearse):
        raise BadInput(
            "--pods-at-once and --rehearse are for pods elsewhere; here --parallel says how many run at once"
        )
    named = cast(Literal["local", "ssh", "runpod"], kind)
    settings = read_settings(pods_file)
    if kind == "ssh" and not settings.ssh.machines:
        raise BadInput("--pods ssh: no machine to use: pods.toml has no [[ssh.machines]]; docs/runpod.md shows one")
    return Wanted(named, at_once, rehearse, max_cost, max_hours, settings, no_bound)


def check_key(key: str | None) -> str:
    """RunPod's API key; BadInput if there is none."""
    if not key:
        raise BadInput(f"--pods runpod: no API key; set {KEY}, or make the Prefect Secret block runpod-api-key")
    return key


def check_rented(record: Path, wanted: Wanted) -> None:
    """Raise BadInput if a record that has rented pods is to go on elsewhere: they would be forgotten."""
    slots = {path.stem: read_slot(path) for path in slot_files(record)}
    others = [name for name, slot in slots.items() if "asked" in slot and "ended" not in slot]
    if others and wanted.kind != "runpod":
        raise BadInput(
            f"{record}: has rented pods ({', '.join(others)}); go on with --pods runpod, or end them first: "
            f"pgolf pods reap --id {record.name}"
        )


@dataclass(frozen=True)
class Opened:
    """A place, and the budget of what is rented there."""

    place: Place
    budget: Budget | None = None


@contextmanager
def open_place(
    wanted: Wanted,
    record: Path,
    data: "Data",
    stop: threading.Event,
    *,
    ranks: int,
    runs: int,
    seed_hours: float,
    key: str | None = None,
    rent: Rent | None = None,
) -> Iterator[Opened]:
    """The place for `runs` seeds of `ranks` ranks; every machine of it is given back at the end.

    Parameters
    ----------
    record : the record's folder.
    stop : ends everything when it is set; a budget that is used up sets it.
    seed_hours : how long one seed is expected to take.
    rent : what to rent, if not what the settings say.
    """
    if wanted.kind == "local":
        yield Opened(ThisMachine())
        return
    from pgolf.pods.remote import RemotePlace  # imports asyncssh, and most records need none

    if wanted.kind == "ssh":
        from pgolf.pods.ssh import Inventory

        inventory = Inventory(wanted.settings.ssh, record / "pods", data, stop)
        place, budget = RemotePlace(record, inventory, stop, runs, data), None
    else:
        from pgolf.pods.rental import Rentals
        from pgolf.pods.runpod import Runpod
        from pgolf.pods.staging import check_sendable, is_large
        from pgolf.pods.volume import MOST_DOLLARS, fill_volume

        settings = wanted.settings.runpod
        volume = (rent or settings.rent).network_volume_id
        if not volume:
            check_sendable(data, settings.staging)
        elif is_large(data, settings.staging):
            most = min(MOST_DOLLARS, wanted.max_cost or MOST_DOLLARS)
            filled = fill_volume(volume, data, settings, check_key(key), record.parent, max_cost=most, stop=stop)
            how = "known" if filled.known else f"filled for ${filled.dollars:.2f}"
            log.info("network volume %s: the dataset is whole (%s)", volume, how)
        budget = Budget(record, stop, wanted.max_cost, wanted.max_hours, seed_hours)
        api = Runpod(settings.api, check_key(key))
        rentals = Rentals(api, settings, rent or settings.rent, ranks, record, data, budget)
        place = RemotePlace(record, rentals, stop, runs, data)
        rentals.runs = place.runs
    try:
        yield Opened(place, budget)
    finally:
        place.close()


def wind_up(record: Path, settings: Settings, key: str | None) -> None:
    """Fetch what is finished on the rented pods of a record that nobody works on, then end them."""
    from pgolf.pods.remote import RemotePlace
    from pgolf.pods.ssh import Data

    with lock_if_free(record) as free:
        if not free or not any("ended" not in read_slot(path) for path in slot_files(record)):
            return
        wanted = Wanted("runpod", None, False, None, None, settings)
        stop = threading.Event()
        stop.set()  # short patience, and nothing new is rented
        with open_place(wanted, record, Data(record, {}), stop, ranks=1, runs=0, seed_hours=0, key=key) as opened:
            assert isinstance(opened.place, RemotePlace)
            for folder in list(opened.place.held):
                pod = opened.place.open(folder)
                try:
                    if pod.status().state == "ended":
                        pod.fetch()
                except RunFailed as e:
                    log.warning("%s: %s", folder, e)


def has_rented(record: Path) -> bool:
    """Whether a record has rented pods that nobody has ended yet, as its files tell."""
    return any("asked" in slot and "ended" not in slot for slot in map(read_slot, slot_files(record)))


def machines_of(record: Path) -> dict[Path, str]:
    """The attempts that may run on a machine elsewhere, with its name, as the files here tell."""
    ended = {path.stem for path in slot_files(record) if "ended" in read_slot(path)}
    return {attempt: name for attempt, name in started_elsewhere(record).items() if name not in ended}


def end_on_machines(record: Path, settings: Settings) -> tuple[list[Path], dict[str, str]]:
    """End what still runs of a record, whose lock the caller holds, on the user's machines.

    Returns these attempts, and the machines where something may go on, with the reason: the settings do not name them,
    or they do not answer.
    """
    names = {machine.name for machine in settings.ssh.machines}
    rented = {path.stem for path in slot_files(record) if "asked" in read_slot(path)}
    others = set(machines_of(record).values()) - names - rented
    unsure = dict.fromkeys(sorted(others), "pods.toml does not name it; --pods-file names another file")
    if not any(path.stem in names for path in slot_files(record)):
        return [], unsure
    from pgolf.pods.remote import RemotePlace, RemotePod
    from pgolf.pods.ssh import Data

    stop, ended = threading.Event(), []
    wanted = Wanted("ssh", None, False, None, None, settings)
    with open_place(wanted, record, Data(record, {}), stop, ranks=1, runs=0, seed_hours=0) as opened:
        assert isinstance(opened.place, RemotePlace)
        for folder, slot in list(opened.place.held.items()):
            pod = opened.place.open(folder)
            if runs := pod.status().state == "running":
                pod.kill()
            if isinstance(pod, RemotePod) and pod.broken:
                unsure[slot.name] = "it does not answer, or goes on"
            elif runs:
                ended.append(folder)
    return ended, unsure


@contextmanager
def lock_if_free(record: Path, wait_s: float = 0.0) -> Iterator[bool]:
    """Hold a record's lock if it is free, or gets free within `wait_s` seconds; yields whether it was."""
    lock = FileLock(lock_file(record))
    try:
        lock.acquire(timeout=wait_s)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def key_of_environment() -> str | None:
    """RunPod's API key of this process."""
    return os.environ.get(KEY)
