"""Rent the machines of a record, and forget none of them.

A pod's name is written down before the pod is asked for, and its id as soon as it is known: after a kill in between the
next process looks for the name. A lease on the pod is renewed for as long as this
process lives; `runpod/watchdog.sh` ends a pod whose lease is old.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import tenacity

from pgolf.errors import BadInput, RunFailed
from pgolf.files import write_json
from pgolf.pods import Gone, Kind
from pgolf.pods.bootstrap import SCRIPTS, MachineSpec, prepare
from pgolf.pods.machine import Address, Machine, ensure_key
from pgolf.pods.money import Budget
from pgolf.pods.names import pod_name
from pgolf.pods.remote import Slot, Unfit
from pgolf.pods.runpod import ApiError, Denied, NoCapacity, Rented, Runpod
from pgolf.pods.settings import Rent, RunpodSettings
from pgolf.pods.slots import read_slot, slot_files
from pgolf.pods.ssh import Data

log = logging.getLogger(__name__)
LOOKS, LOOK_PAUSE_S = 4, 2.0  # for a pod by its name: lists are late now and then
POLL_S = 2.0
SPARE_S = 60  # a pod's own bound comes later than the record's, which stops in order and fetches what it can


class Rentals:
    """See `pgolf.pods.remote.Slots`. `close` ends every pod of this record."""

    def __init__(
        self, api: Runpod, settings: RunpodSettings, rent: Rent, ranks: int, record: Path, data: Data, budget: Budget
    ) -> None:
        self.api, self.settings, self.rent, self.gpus = api, settings, rent, rent.gpu_count or ranks
        self.record, self.folder, self.data, self.budget = record, record / "pods", data, budget
        self.public_key = ensure_key(settings.key)
        self.runs: Callable[[], int] = lambda: 0  # seeds that still need a pod
        self.mine: list[Rental] = []
        self.denied: Denied | None = None

    def check(self) -> None:
        """Raise Denied once a request was refused for good: no other one is made, for whichever seed."""
        if self.denied:
            raise Denied(*self.denied.args)

    def before(self) -> list[Slot]:
        """Pods that an earlier process rented, and that still run."""
        for path in slot_files(self.record):
            if {"asked"} <= read_slot(path).keys() and "ended" not in read_slot(path):
                self.mine.append(Rental(self, path))
        found: list[Slot] = []
        for rental in self.mine:
            if rental.known.get("rent") != self.rented():
                rental.end()  # it was rented for something else
            elif rental.recover():
                found.append(rental)
        return found

    def rented(self) -> dict[str, Any]:
        """This place's settings for renting, as a slot's file has them."""
        return {"gpu_types": list(self.rent.gpu_types), "gpus": self.gpus}

    def another(self) -> Slot:
        """A new pod; it is rented when its machine is first asked for."""
        number = len(slot_files(self.record)) + 1
        path = self.folder / f"pod-{number}.json"
        name = pod_name(self.settings.owner, self.record.name, path.stem, secrets.token_hex(4))
        write_json(path, {"name": name, "rent": self.rented()})
        rental = Rental(self, path)
        self.mine.append(rental)
        return rental

    def close(self) -> None:
        """End every pod of this record that the account still has, known or not."""
        with ExitStack() as every_one:  # also when one of them fails
            every_one.callback(self._sweep)
            for rental in self.mine:
                every_one.callback(rental.end)

    def _sweep(self) -> None:
        names = {read_slot(path)["name"] for path in slot_files(self.record)}
        try:
            for _ in range(2 if names else 0):  # a list forgets one now and then
                for pod in self.api.find():
                    if pod.name in names and pod.status != "TERMINATED":
                        log.warning("%s: still there as %s; ended", pod.name, pod.id)
                        self._delete(pod)
        except (RunFailed, BadInput) as e:
            log.error("pods of this record cannot be listed (%s); look yourself: pgolf pods list", e)
        self.api.close()

    def _delete(self, pod: Rented) -> None:
        try:
            self.api.delete(pod.id)
        except (RunFailed, BadInput) as e:
            log.error("%s: CANNOT BE ENDED (%s); end it by hand: pgolf pods reap", pod.name, e)


class Rental:
    """One rented pod, from before it is asked for to its end. Its state is its file in the record's folder."""

    def __init__(self, rentals: Rentals, path: Path) -> None:
        self.rentals, self.path, self.name = rentals, path, path.stem
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.reached: Machine | None = None

    @property
    def known(self) -> dict[str, Any]:
        """The content of its file."""
        return dict(read_slot(self.path))

    def _note(self, **more: Any) -> None:
        write_json(self.path, {**self.known, **more})

    def machine(self) -> Machine:
        """Rent the machine, reach it and make it ready, as far as that is not done yet; return it."""
        rentals, data = self.rentals, self.rentals.data
        rentals.check()
        wanted = MachineSpec(rentals.settings.checks, data.packages, rentals.gpus, rentals.rent.gpu_types, data.needs)
        ready = wanted.key(data.files)
        with self.lock:
            machine = self._connected()
            if self.known.get("ready") != ready:
                facts = prepare(machine, wanted, data.root, data.files, data.folder)
                self._note(ready=ready, facts=facts)
                shown = {**facts, **facts["versions"]}
                log.info(
                    "%s: ready (%s)", self.name, ", ".join(f"{k} {v}" for k, v in shown.items() if k != "versions")
                )
            return machine

    def reach(self) -> Machine:
        """The machine, rented and reached, and else as it is."""
        with self.lock:
            return self._connected()

    def _connected(self) -> Machine:
        if "ended" in self.known:
            raise Gone(f"{self.name}: it was given back")
        if "pod_id" not in self.known:
            self._rent()
        if self.reached is None:
            self.reached = self._reach()
            threading.Thread(target=self._heartbeat, name=f"lease of {self.name}", daemon=True).start()
        return self.reached

    def gone(self) -> bool:
        """Whether the API says that the pod does not run any more; False if the API does not answer."""
        try:
            pod_id = self.known.get("pod_id")
            pod = self.rentals.api.get(pod_id) if pod_id else None
            return pod_id is not None and not (pod and pod.alive)
        except (RunFailed, BadInput):
            return False

    def recover(self) -> bool:
        """Whether the pod that an earlier process rented still runs; if not, end what is left of it."""
        if "pod_id" not in self.known and not self._look():
            self.end()
            return False
        if self.gone():
            self.end()
            return False
        log.info("%s: still rented since before (%s)", self.name, self.known["pod_id"])
        return True

    def end(self) -> None:
        """Delete the pod, and check that it is gone. A failure is logged as an error; watchdog and reaper remain."""
        self.ended.set()
        if self.reached:
            self.reached.close()
        with self.lock:
            if "ended" in self.known or "asked" not in self.known:
                return
            try:
                if pod_id := self.known.get("pod_id"):
                    self.rentals.api.delete(pod_id)
                for pod in self.rentals.api.find(self.known["name"]):
                    self.rentals.api.delete(pod.id)
            except (RunFailed, BadInput) as e:
                log.error("%s: CANNOT BE ENDED (%s); end it by hand: pgolf pods reap", self.known["name"], e)
                return
            log.info("%s: given back", self.name)
            self._note(ended=round(time.time(), 3))

    def _rent(self) -> None:
        """Ask for the pod until there is one. Raises Gone if it is not known what became of a request, or Denied."""
        rentals, nets = self.rentals, self.rentals.settings.nets
        lifetime = min(float(nets.lifetime_s), SPARE_S + 3600 * (rentals.budget.max_hours or float("inf")))
        env = {
            "PUBLIC_KEY": rentals.public_key,
            "PGOLF_FIRST_LEASE_S": str(nets.first_lease_s),
            "PGOLF_LEASE_S": str(nets.lease_s),
            "PGOLF_LIFETIME_S": str(int(lifetime)),
            "PGOLF_FETCH_GRACE_S": str(nets.fetch_grace_s),
            "PGOLF_TICK_S": str(nets.tick_s),
        }
        start = ["bash", "-c", (SCRIPTS / "start.sh").read_text(), "start", (SCRIPTS / "watchdog.sh").read_text()]
        deadline, said = time.monotonic() + rentals.settings.capacity_patience_s, False
        pauses = tenacity.wait_random_exponential(multiplier=1, max=60)
        for number in range(1, 1 << 20):
            rentals.budget.check()
            rentals.check()
            if rentals.budget.stop.is_set():
                raise Gone(f"{self.name}: not rented, the record is being stopped")
            self._note(asked=round(time.time(), 3))
            try:
                pod = rentals.api.create(self.known["name"], rentals.rent, rentals.gpus, env, start)
                break
            except Denied as e:
                if any(rental.reached for rental in rentals.mine):
                    log.error("%s; no other seed is begun, and those that run go on to their end", e)
                rentals.denied = e
                raise
            except NoCapacity as e:
                if time.monotonic() > deadline:
                    raise RunFailed(
                        f"{self.name}: no pod to be had in {rentals.settings.capacity_patience_s:.0f} s: {e}"
                    ) from e
                if not said:
                    log.info("%s: %s; trying again", self.name, e)
                said = True
                state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
                state.attempt_number = number
                until = time.monotonic() + pauses(state)
                while time.monotonic() < until and not rentals.denied and not rentals.budget.stop.wait(0.5):
                    pass
            except ApiError as e:
                if not self._look():
                    raise Gone(f"{self.name}: the request failed, and no pod has its name: {e}") from e
                return
        self._take(pod)

    def _look(self) -> bool:
        """Find the pod that was made by a request whose reply was lost; False if there is none."""
        for look in range(LOOKS):
            if pods := self.rentals.api.find(self.known["name"]):
                self._take(pods[0])
                return True
            time.sleep(LOOK_PAUSE_S if look < LOOKS - 1 else 0)
        return False

    def _take(self, pod: Rented) -> None:
        most = self.rentals.rent.max_price_per_hour
        self._note(pod_id=pod.id, price_per_hour=most if pod.price is None else pod.price, rented=self.known["asked"])
        if pod.price is None:
            raise Unfit(
                f"its price is unknown (counted as ${most:.2f} an hour, max_price_per_hour)", Kind.PRICE_UNKNOWN
            )
        log.info("%s: rented, $%.2f an hour (%s)", self.name, pod.price, pod.id)
        if pod.price > self.rentals.rent.max_price_per_hour:
            raise Unfit(
                f"${pod.price:.2f} an hour is over max_price_per_hour, ${self.rentals.rent.max_price_per_hour:.2f}"
            )
        self.rentals.budget.admit(pod.price, self.rentals.runs())

    def _reach(self) -> Machine:
        """Wait until the pod answers, and write its first lease."""
        settings, stop = self.rentals.settings, self.rentals.budget.stop
        deadline = time.monotonic() + settings.ready_patience_s
        while True:
            pod = self.rentals.api.get(self.known["pod_id"])
            if pod is None or not pod.alive:
                raise Gone(f"{self.name}: the pod ended before it was up")
            if pod.host and pod.port:
                break
            if time.monotonic() > deadline:
                raise Unfit(f"{self.name}: no address after {settings.ready_patience_s:.0f} s")
            if stop.wait(POLL_S):
                raise Gone(f"{self.name}: the record is being stopped")
        address = Address(pod.host, pod.port, settings.user, settings.key, self.path.with_suffix(".pin"))
        patience = settings.patience_s if self.known.get("ready") else settings.ready_patience_s
        machine = Machine(self.name, address, settings.work, settings.python, stop, patience, self.gone)
        self._renew(machine)
        machine.patience_s = settings.patience_s
        return machine

    def _renew(self, machine: Machine) -> None:
        """Write a new lease to the pod, and its longest lifetime; the pod's own clock counts both."""
        lines = [f"printf %s {secrets.token_hex(8)} > .pgolf/lease.new"]
        left = self.rentals.budget.seconds_left()
        if left < float("inf"):
            age = time.time() - float(self.known["rented"])
            lines.append(f"printf %s {int(age + max(0.0, left)) + SPARE_S} > .pgolf/lifetime_s")
        machine.run(" && ".join(["mkdir -p .pgolf", *lines, "mv .pgolf/lease.new .pgolf/lease"]))

    def _heartbeat(self) -> None:
        while not self.ended.wait(self.rentals.settings.nets.heartbeat_s):
            self.rentals.budget.check()
            try:
                assert self.reached
                self._renew(self.reached)
            except Gone as e:
                log.debug("%s: no lease renewed: %s", self.name, e)
