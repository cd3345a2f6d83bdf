"""Rent the machines of a record, and forget none of them.

A pod's name is written down before the pod is asked for, and its id as soon as it is known: after a kill in between the
next process looks for the name. A lease on the pod is renewed for as long as this
process lives; `runpod/watchdog.sh` ends a pod whose lease is old.

A pod is one start of one container. Where that is started anew (`runpod/start.sh` gives each start an id), nothing that
was put there is relied on: the pod counts as lost, and is given back.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pgolf.errors import BadInput, RunFailed
from pgolf.files import write_json
from pgolf.pods import Gone, Kind
from pgolf.pods.bootstrap import SCRIPTS, MachineSpec, prepare
from pgolf.pods.failures import asked_for, is_pending, tried
from pgolf.pods.lease import SPARE_S, environment, heartbeat, renewal
from pgolf.pods.machine import Machine, ensure_key
from pgolf.pods.money import Budget, found_late, is_price, note_end
from pgolf.pods.names import pod_name
from pgolf.pods.pins import Address
from pgolf.pods.runpod import ApiError, NoCapacity, Rented, Runpod
from pgolf.pods.settings import Rent, RunpodSettings
from pgolf.pods.slots import NotNow, Slot, Unfit, read_slot, slot_files
from pgolf.pods.ssh import Data
from pgolf.pods.staging import SEND_MOST, also_staged, stage_data

log = logging.getLogger(__name__)
LOOKS, LOOK_PAUSE_S = 4, 2.0  # for a pod by its name: lists are late now and then
POLL_S = 2.0
WHY_CHARS = 500  # of an error, in a slot's file
RENEW_TIMEOUT_S = 60.0
RECENT_S = 5.0  # a pod that has answered so lately need not be asked again


class Rentals:
    """See `pgolf.pods.remote.Slots`. `close` ends every pod of this record."""

    paid = True

    def __init__(
        self, api: Runpod, settings: RunpodSettings, rent: Rent, ranks: int, record: Path, data: Data, budget: Budget
    ) -> None:
        self.api, self.settings, self.rent, self.gpus = api, settings, rent, rent.gpu_count or ranks
        self.record, self.folder, self.data, self.budget = record, record / "pods", data, budget
        self.public_key = ensure_key(settings.key)
        self.runs: Callable[[], int] = lambda: 0  # seeds that still need a pod
        self.mine: list[Rental] = []
        self.no_more: RunFailed | BadInput | None = None  # why no other pod is rented
        self.closed = threading.Event()

    def before(self) -> list[Slot]:
        """Pods that an earlier process rented, and that still run."""
        for path in slot_files(self.record):
            if {"asked"} <= read_slot(path).keys() and "ended" not in read_slot(path):
                self.mine.append(Rental(self, path))
                self.budget.watch(self.settings.nets.heartbeat_s, self.closed, self.abandon)
        return [rental for rental in self.mine if self._recovered(rental)]

    def _recovered(self, rental: "Rental") -> bool:
        """Whether a pod of an earlier process is there and of use; if not, it is ended."""
        if rental.known.get("rent") != self.rented():
            rental.end()  # it was rented for something else
            return False
        try:
            if rental.recover():
                return True
            if "pod_id" in rental.known:
                rental._note(at_most=True)  # nobody knows when it ended
                raise Gone(f"{rental.name}: it ended while nobody watched", Kind.ENDED)
        except Gone as e:  # also of one that is found only now, and is too dear
            log.warning("%s: not used: %s", rental.name, e)
            rental.failed(e)
            rental.end()
        return False

    def rented(self) -> dict[str, Any]:
        """This place's settings for renting, as a slot's file has them."""
        return {"gpu_types": list(self.rent.gpu_types), "gpus": self.gpus}

    def another(self) -> Slot | None:
        """A new pod; it is rented when its machine is first asked for. None: those that are not ready yet are awaited.

        Raises
        ------
        RunFailed, BadInput : no more pods are rented for this record.
        """
        pending = [rental for rental in self.mine if is_pending(rental.known) and not rental.ended.is_set()]
        counted = tried(self.record)  # after that: one that fails meanwhile counts twice rather than not at all
        if why := counted.hopeless or counted.spent:
            self.rent_no_more(RunFailed(why))
        self.check()
        if not counted.room(len(pending)):
            return None
        number = len(slot_files(self.record)) + 1
        path = self.folder / f"pod-{number}.json"
        name = pod_name(self.settings.owner, self.record.name, path.stem, secrets.token_hex(4))
        facts = {"asked_for": asked_for(self.rent, self.gpus), "max_price_per_hour": self.rent.max_price_per_hour}
        write_json(path, {"name": name, "rent": self.rented(), **facts})
        rental = Rental(self, path)
        self.mine.append(rental)
        self.budget.watch(self.settings.nets.heartbeat_s, self.closed, self.abandon)
        return rental

    def rent_no_more(self, error: RunFailed | BadInput, besides: "Rental | None" = None) -> None:
        """Rent no other pod; end the record, unless a pod of it, besides this one, is at work or may be soon."""
        self.no_more = self.no_more or error
        if not any(rental.in_use for rental in self.mine if rental is not besides):
            self.budget.give_up(self.no_more)

    def check(self) -> None:
        """Raise what speaks against another pod, for whichever seed; end the record where no pod is at work."""
        if self.no_more:
            self.rent_no_more(self.no_more)
            raise type(self.no_more)(*self.no_more.args)

    def abandon(self) -> None:
        """Let go of the machines that are being made ready: whoever waits for a setup there is told that it is lost."""
        for rental in self.mine:
            if rental.made and is_pending(rental.known):
                rental.made.close()

    def close(self) -> None:
        """End every pod of this record that the account still has, known or not."""
        self.closed.set()
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
            note_end(self.record, pod.name, pod.id, pod.price)
        except (RunFailed, BadInput) as e:
            log.error("%s: CANNOT BE ENDED (%s); end it by hand: pgolf pods reap", pod.name, e)


class Rental:
    """One rented pod, from before it is asked for to its end. Its state is its file in the record's folder."""

    def __init__(self, rentals: Rentals, path: Path) -> None:
        self.rentals, self.path, self.name = rentals, path, path.stem
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.made: Machine | None = None  # it may never answer
        self.reached: Machine | None = None
        self.waits_since: float | None = None  # by time.monotonic; there was none to be had then
        self.renewed = 0.0  # when, by time.monotonic
        self.lost = ""  # why it is of no use any more, whatever the API says of it

    @property
    def known(self) -> dict[str, Any]:
        """The content of its file."""
        return dict(read_slot(self.path))

    def _note(self, **more: Any) -> None:
        write_json(self.path, {**self.known, **more})

    @property
    def in_use(self) -> bool:
        """Whether there is a pod, and it has not failed."""
        known = self.known
        return "pod_id" in known and not {"ended", "failed"} & known.keys()

    def failed(self, error: Gone) -> None:
        """Note why the pod is not used; end the record if that says that others would fail as well."""
        if self.rentals.budget.stop.is_set():  # it may be for that
            return
        self._note(failed={"kind": error.kind, "why": str(error)[:WHY_CHARS], "at": round(time.time(), 3)})
        if why := tried(self.rentals.record).hopeless:
            self.rentals.rent_no_more(RunFailed(why))

    def machine(self) -> Machine:
        """Rent the machine, reach it and make it ready, as far as that is not done yet; return it."""
        rentals, data = self.rentals, self.rentals.data
        wanted = MachineSpec(rentals.settings.checks, data.packages, rentals.gpus, rentals.rent.gpu_types, data.needs)
        ready = wanted.key(data.files)
        with self.lock:
            machine = self._connected()
            if self.known.get("ready") != ready:
                facts = prepare(machine, wanted)
                staged = also_staged(self.known, stage_data(machine, data, rentals.settings.staging, SEND_MOST))
                self._renew(machine)  # it is still the same container
                self._note(ready=ready, facts=facts, staged=staged)
                shown = {k: v for k, v in {**facts, **facts["versions"]}.items() if k != "versions"}
                log.info("%s: ready (%s)", self.name, ", ".join(f"{k} {v}" for k, v in shown.items()))
            elif time.monotonic() - self.renewed > RECENT_S:
                self._renew(machine)
            return machine

    def reach(self) -> Machine:
        """The machine, rented and reached, and else as it is."""
        with self.lock:
            return self._connected()

    def _connected(self) -> Machine:
        if "ended" in self.known:
            raise Gone(f"{self.name}: it was given back")
        if self.lost:
            raise Gone(f"{self.name}: {self.lost}")
        if "pod_id" not in self.known:
            self._rent()
        if self.reached is None:
            self.reached = self._reach()
            duties = (self.rentals.budget.check, self._beat)
            given = (self.name, self.rentals.settings.nets.heartbeat_s, self.ended, duties)
            threading.Thread(target=heartbeat, args=given, name=f"lease of {self.name}", daemon=True).start()
        return self.reached

    def gone(self) -> bool:
        """Whether the pod is lost, or does not run any more as the API says; False if the API does not answer."""
        if self.lost or self.ended.is_set():
            return True
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
        if self.made:
            self.made.close()
        with self.lock:
            if "ended" in self.known or "asked" not in self.known:
                return
            try:
                if pod_id := self.known.get("pod_id"):
                    self.rentals.api.delete(pod_id)
                found = self.rentals.api.find(self.known["name"])
                for pod in found:
                    self.rentals.api.delete(pod.id)
            except (RunFailed, BadInput) as e:
                log.error("%s: CANNOT BE ENDED (%s); end it by hand: pgolf pods reap", self.known["name"], e)
                return
            log.info("%s: given back", self.name)
            self._pins.unlink(missing_ok=True)  # whoever gets that address next is another machine
            self._note(**found_late(self.known, {pod.id: pod.price for pod in found}))

    def _rent(self) -> None:
        """Ask for the pod.

        Raises
        ------
        NotNow : there is none to be had; RunFailed if there was none for too long.
        Gone : the request failed, and no pod has its name; or the pod is of no use.
        BadInput : the request is refused.
        """
        rentals, nets = self.rentals, self.rentals.settings.nets
        lifetime = min(float(nets.lifetime_s), SPARE_S + 3600 * max(0.0, rentals.budget.hours_left()))
        start = ["bash", "-c", (SCRIPTS / "start.sh").read_text(), "start", (SCRIPTS / "watchdog.sh").read_text()]
        rentals.budget.check()
        if rentals.budget.stop.is_set():
            raise Gone(f"{self.name}: not rented, the record is being stopped")
        rentals.check()
        self._note(asked=round(time.time(), 3))
        env = environment(rentals.settings, rentals.public_key, lifetime)
        try:
            pod = rentals.api.create(self.known["name"], rentals.rent, rentals.gpus, env, start)
        except NoCapacity as e:
            raise self._not_now(e) from e
        except ApiError as e:
            if not self._look():
                raise Gone(f"{self.name}: {Kind.NOT_MADE}: {e}", Kind.NOT_MADE) from e
            return
        except BadInput as e:
            self._note(ended=round(time.time(), 3))  # nothing was made
            rentals.rent_no_more(e)
            raise
        self._take(pod)

    def _not_now(self, error: NoCapacity) -> RunFailed:
        """NotNow, said once, as long as there is patience."""
        patience = self.rentals.settings.capacity_patience_s
        if self.waits_since is None:
            self.waits_since = time.monotonic()
            log.info("%s: %s; trying again", self.name, error)
        if time.monotonic() > self.waits_since + patience:
            return RunFailed(f"{self.name}: no pod to be had in {patience:.0f} s: {error}")
        return NotNow(f"{self.name}: {error}")

    def _look(self) -> bool:
        """Find the pod that was made by a request whose reply was lost; False if there is none."""
        for look in range(LOOKS):
            if pods := self.rentals.api.find(self.known["name"]):
                self._take(pods[0])
                return True
            time.sleep(LOOK_PAUSE_S if look < LOOKS - 1 else 0)
        return False

    def _take(self, pod: Rented) -> None:
        """Note what is rented now; Unfit if its price is unknown or over a bound."""
        rentals, most = self.rentals, self.rentals.rent.max_price_per_hour
        price = pod.price if is_price(pod.price) else None
        self._note(pod_id=pod.id, price_per_hour=price, rented=self.known["asked"])
        if price is None:
            why = f"{self.name}: RunPod names no price of {pod.id}; no pod is kept whose cost is unknown"
            raise Unfit(why, Kind.PRICE_UNKNOWN)
        log.info("%s: rented, $%.2f an hour (%s)", self.name, price, pod.id)
        if price > most:
            raise Unfit(f"${price:.2f} an hour is over max_price_per_hour, ${most:.2f}", Kind.TOO_DEAR)
        if over := rentals.budget.too_much(price, rentals.runs()):
            rentals.rent_no_more(RunFailed(over), besides=self)
            raise Gone(over, Kind.TOO_DEAR)

    def _reach(self) -> Machine:
        """Wait until the pod answers, and write its first lease."""
        settings, stop = self.rentals.settings, self.rentals.budget.stop
        deadline = time.monotonic() + settings.ready_patience_s
        while True:
            pod = self.rentals.api.get(self.known["pod_id"])
            if pod is None or not pod.alive:
                raise Gone(f"{self.name}: the pod ended before it was up", Kind.ENDED)
            if pod.host and pod.port:
                break
            if time.monotonic() > deadline:
                raise Unfit(f"{self.name}: no address after {settings.ready_patience_s:.0f} s", Kind.NO_ADDRESS)
            if stop.wait(POLL_S) or self.ended.is_set():
                raise Gone(f"{self.name}: the record is being stopped")
        address = Address(pod.host, pod.port, settings.user, settings.key, self._pins, rented=True)
        patience = settings.patience_s if self.known.get("ready") else settings.ready_patience_s
        machine = Machine(self.name, address, settings.work, settings.python, stop, patience, self.gone)
        self.made = machine
        self._renew(machine)
        machine.patience_s = settings.patience_s
        return machine

    @property
    def _pins(self) -> Path:
        """The file with its host key: a pod is trusted by nothing that another one has shown."""
        return self.path.with_suffix(".pin")

    def _renew(self, machine: Machine) -> None:
        """Write a new lease, which tells the time, and the pod's longest lifetime; its watchdog counts both.

        Raises
        ------
        Gone : it does not answer, or its container is not the one that was reached first.
        """
        command = renewal(time.time() - float(self.known["rented"]), self.rentals.budget.seconds_left())
        start = machine.run(command, timeout_s=RENEW_TIMEOUT_S).strip()[:100]
        known = self.known
        if "start" not in known:
            self._note(start=start)
        elif start != known["start"]:
            self.lost = "its container was started anew; what it had is lost"
            raise Gone(f"{self.name}: {self.lost}")
        self.renewed = time.monotonic()

    def _beat(self) -> None:
        """Renew the lease of a pod that is of use; its lifetime is counted here as well."""
        nets, known = self.rentals.settings.nets, self.known
        if self.lost or not self.reached:
            return
        if time.time() - float(known["rented"]) > nets.lifetime_s + nets.fetch_grace_s + SPARE_S:
            self.lost = f"its lifetime of {nets.lifetime_s} s is over, and it has not ended itself"
            raise Gone(f"{self.name}: {self.lost}")
        self._renew(self.reached)
