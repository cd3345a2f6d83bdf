"""Pods on machines that are reached by SSH, rented or not: what they share.

The command runs in a folder there, under `agent.py`. Its log and events are mirrored here byte by byte while it runs,
so that they outlive the machine. When it has ended, all files come home with their hashes, `exit.json` last: once that
is home, everything is.

    runs/<record-id>/pods/<slot>.json                the facts about a machine
    …/attempt-<n>/place.json                         which machine an attempt is on: see `pgolf.pods.placed`
"""

import errno
import logging
import random
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property
from itertools import count
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pgolf.errors import BadInput, RunFailed
from pgolf.files import hash_folder, write_json
from pgolf.pods import PYTHON, Gone, Kind, Pod, Status
from pgolf.pods.answers import ALL_MOST, JSON_MOST, MIRRORED, MIRRORED_MOST, checked_hashes, checked_status, choose
from pgolf.pods.local import PLACE, READ_AT_ONCE, LocalPod
from pgolf.pods.machine import Machine, Refused
from pgolf.pods.names import checked_name, moved
from pgolf.pods.placed import PLACE_FILE, is_followed, place_of, placed_attempts
from pgolf.pods.slots import NotNow, Slot, Slots
from pgolf.untrusted import read_json

if TYPE_CHECKING:
    from pgolf.pods.ssh import Data

log = logging.getLogger(__name__)
MIRROR_S = 60.0  # after which what has come is shown, and the record looks whether it is to stop
DISK_PAUSE_S = 2.0  # between looks at a full disk here
DISK_PATIENCE_S = 1200.0  # for room on it; a finished seed waits meanwhile
PAUSE_MOST_S = 60.0  # between two requests for a machine while there is none to be had
START_SLACK_S = 600.0  # a start takes some time, and clocks differ


class RemotePlace:
    """See `pgolf.pods.Place`. Gives each running seed a machine of its own; ends those that no seed waits for.

    Parameters
    ----------
    record : the record's folder.
    runs : how many seeds have yet to run.
    data : the dataset that seeds find on every machine.
    """

    def __init__(self, record: Path, slots: Slots, stop: threading.Event, runs: int, data: "Data") -> None:
        self.record, self.slots, self.stop, self.data = record, slots, stop, data
        self.changed = threading.Condition()
        self.held: dict[Path, Slot] = {}
        self.left: dict[
            str, list[PurePosixPath]
        ] = {}  # folders on a machine whose commands may still run, given up here
        before = {slot.name: slot for slot in slots.before()}
        for attempt, placed in placed_attempts(record):
            if placed["slot"] not in before:
                continue
            if is_followed(attempt):
                self.left.setdefault(placed["slot"], []).append(PurePosixPath(placed["folder"]))
            else:
                self.held[attempt] = before[placed["slot"]]
        self.free = [slot for slot in before.values() if slot not in self.held.values()]
        self.coming = max(0, runs - len(self.held))  # runs that have yet to find a machine
        self._end_idle()

    def open(self, folder: Path) -> Pod:
        """The pod of an attempt. If the files are home or the machine is gone, the status comes from the files."""
        folder = folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        home = LocalPod(folder)
        if home.status().state == "ended" or ((folder / PLACE_FILE).exists() and folder not in self.held):
            if home.status().state != "fresh":
                return home
            (folder / PLACE_FILE).unlink()  # nothing was started before that machine went
        return RemotePod(folder, self)

    def take(self, folder: Path) -> Slot:
        """Take a machine for an attempt: its own, a free one, or a new one.

        While there is none to be had the attempt holds none, and takes what another one gives back.

        Raises
        ------
        Gone : the record is being stopped, or no machine is left.
        RunFailed : no more machines are taken for this record, or there was none to be had for too long.
        """
        spare: Slot | None = None
        for number in count(1):
            pause = random.uniform(0.5, min(PAUSE_MOST_S, 2.0 ** min(number, 10)))
            try:
                slot = self._claim(folder, spare)
                if spare and slot is not spare:
                    spare.end()
                    spare = None
                machine = slot.machine()
                for remote in self.left.pop(slot.name, []):
                    machine.agent("kill", remote)
                return slot
            except NotNow:
                spare = slot
                self._await_another(folder, pause)
            except Gone as e:
                if folder not in self.held:
                    raise
                log.warning("%s: not used: %s", slot.name, e)
                slot.failed(e)
                self.give_back(folder, broken=True)
                if e.kind == Kind.NOT_MADE:
                    self.stop.wait(pause)
            except (RunFailed, BadInput):  # this run is over: nobody is to wait with a machine for it
                self.give_back(folder, broken=True)
                with self.changed:
                    self.coming = max(0, self.coming - 1)
                self._end_idle()
                raise
        raise AssertionError  # it counts without end

    def _claim(self, folder: Path, spare: Slot | None) -> Slot:
        with self.changed:
            while folder not in self.held:
                if self.stop.is_set():
                    raise Gone("the record is being stopped")
                slot = self.free.pop() if self.free else spare or self.slots.another()
                if slot is None:
                    if not self.held and not self.slots.paid:
                        raise Gone(f"{folder.name}: no machine is left; the log says why each was given up")
                    self.changed.wait(1.0)
                    continue
                remote = f"{self.record.name}/{folder.relative_to(self.record).as_posix()}-{secrets.token_hex(4)}"
                write_json(folder / PLACE_FILE, {"slot": slot.name, "folder": remote})
                self.held[folder] = slot
                self.coming = max(0, self.coming - 1)
            return self.held[folder]

    def _await_another(self, folder: Path, pause: float) -> None:
        """Let go of the slot that has no machine, and wait until one is free, for `pause` seconds at most."""
        deadline = time.monotonic() + pause
        with self.changed:
            self.held.pop(folder, None)
            self.coming += 1
            while not self.free and not self.stop.is_set() and time.monotonic() < deadline:
                self.changed.wait(min(1.0, pause))

    def give_back(self, folder: Path, broken: bool = False) -> None:
        """Free the machine of an attempt; end it if it is broken, or costs money and no seed needs it."""
        with self.changed:
            slot = self.held.pop(folder, None)
            if slot is None:
                return
            if broken and LocalPod(folder).status().state != "ended":
                self.coming += 1  # that run has yet to find a machine, for this attempt or another
            needed = not broken and not self.stop.is_set()
            if needed:
                self.free.append(slot)
            self.changed.notify_all()
        if not needed:
            slot.end()
        self._end_idle()

    def _end_idle(self) -> None:
        """End the free machines that cost money and that no run has yet to come for."""
        with self.changed:
            idle = self.free[self.coming :] if self.slots.paid else []
            self.free = [slot for slot in self.free if slot not in idle]
        for slot in idle:
            slot.end()

    def runs(self) -> int:
        """How many seeds have yet to end."""
        return self.coming + len(self.held)

    def close(self) -> None:
        """Give every machine back."""
        with self.changed:
            slots, self.held, self.free = [*self.held.values(), *self.free], {}, []
        with ExitStack() as every_one:  # also when one of them fails
            every_one.callback(self.slots.close)
            for slot in slots:
                every_one.callback(slot.end)


class RemotePod:
    """See `pgolf.pods.Pod`."""

    def __init__(self, folder: Path, place: RemotePlace) -> None:
        self.folder, self.place, self.home = folder, place, LocalPod(folder)
        self.broken = self.started = False

    @cached_property
    def remote(self) -> PurePosixPath:
        """The attempt's folder in the work folder of its machine."""
        return PurePosixPath(place_of(self.folder)["folder"])

    def _machine(self) -> Machine | None:
        """The machine of an attempt that has one; None once that is lost."""
        slot = self.place.held.get(self.folder)
        return slot.reach() if slot and not self.broken else None

    def put(self, source: Path, name: str) -> None:
        """Copy a file into the pod's folder; the first one takes a machine."""
        relative = checked_name(name)
        with self._noticed():
            machine = self.place.take(self.folder).machine()
            machine.put(source, self.remote / relative, executable=relative.suffix == ".sh")

    def start(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Start `command` there, with `env` over a minimal environment.

        A value of `env` that is the dataset's folder here, or a path in it, becomes the same path there.

        Raises
        ------
        RuntimeError : this pod has started a command before.
        Gone : the machine does not answer, or refuses.
        """
        if self.status().state != "fresh":
            raise RuntimeError(f"{self.folder}: has run a command already; a pod runs one")
        with self._noticed():
            self._start(command, env)

    def _start(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        slot, data = self.place.take(self.folder), self.place.data
        machine = slot.machine()
        if command[0] == PYTHON:
            command = [machine.python, *command[1:]]
        there = {name: moved(value, data.root, machine.root / data.folder) for name, value in env.items()}
        # written first: a start whose reply is lost must count as an attempt
        write_json(
            self.folder / "pod.json", {PLACE: slot.name, "started": round(time.time(), 3), "command": list(command)}
        )
        machine.agent("start", self.remote, {"command": list(command), "env": there}, checked_status)
        self.started = True

    @contextmanager
    def _noticed(self) -> Iterator[None]:
        """Take a machine that fails for broken: no other seed is to run there."""
        try:
            yield
        except Gone:
            self.broken = True
            raise

    def status(self) -> Status:
        """Whether the command runs, and how it ended; from the files here if its machine is lost.

        A machine that knows nothing of a command that was to be started there has lost it, or never got it: it counts
        as lost, and is not started there again.
        """
        known = self.home.status()
        if known.state in ("ended", "fresh"):
            return known
        try:
            machine = self._machine()
            return self._told(machine, known) if machine else known
        except Gone as e:
            log.warning("%s: %s", self.folder.name, e)
            self.broken = True
            return self.home.status()

    def _told(self, machine: Machine, known: Status) -> Status:
        """What the machine says, where that can be true."""
        told = machine.agent("status", self.remote, check=checked_status)
        if told.state == "fresh" and self.started:
            raise Gone(f"{machine.name}: knows nothing of the command that was started there")
        near = told.started and known.started and abs(told.started - known.started) < START_SLACK_S
        return replace(
            told, state="lost" if told.state == "fresh" else told.state, started=told.started if near else known.started
        )

    def output(self, offset: int, name: str) -> tuple[str, int]:
        """Mirror what is new in file `name`, and return its text from byte `offset`, and the next offset.

        At most READ_AT_ONCE bytes in one call: there may be more until a call gives none; MIRRORED_MOST in all.
        """
        try:
            machine = self._machine()
            if machine and self.home.status().state != "ended":
                self._mirror(machine, name)
        except Gone as e:
            log.warning("%s: %s", self.folder.name, e)
            self.broken = True
        except OSError as e:
            if e.errno != errno.ENOSPC:
                raise
            log.warning("%s: no room here for %s just now (%s)", self.folder.name, name, e.strerror)
        return self.home.output(offset, name)

    def _mirror(self, machine: Machine, name: str) -> bool:
        """Mirror up to READ_AT_ONCE bytes more of a file; whether there was anything. No byte, no file."""
        here = self.folder / name
        begin = at = here.stat().st_size if here.exists() else 0
        end, deadline = min(begin + READ_AT_ONCE, MIRRORED_MOST), time.monotonic() + MIRROR_S
        while at < end and time.monotonic() < deadline and (data := machine.read(self.remote / name, at)):
            with here.open("ab") as f:
                at += f.write(data[: end - at])
        return at > begin

    def fetch(self) -> dict[str, str]:
        """Bring the pod's files home; SHA-256 by relative path. Waits while the disk here is full.

        Files that `answers.choose` leaves there are named in the log. Of a train.log or events.jsonl that is too long
        its first MIRRORED_MOST bytes are kept here, and the hash is of these.

        Raises
        ------
        Gone : the machine is lost before all was home, or what it says of its files is wrong.
        RunFailed : no room here for too long.
        """
        if self.home.status().state == "ended":
            return hash_folder(self.folder)
        deadline = time.monotonic() + DISK_PATIENCE_S
        while True:
            try:
                with self._noticed():
                    return self._fetch()
            except OSError as e:
                if e.errno != errno.ENOSPC or time.monotonic() > deadline or self.place.stop.is_set():
                    raise RunFailed(f"{self.folder}: cannot be written: {e.strerror}") from e
                log.warning("%s: the disk here is full; a finished seed waits on its pod", self.folder)
                self.place.stop.wait(DISK_PAUSE_S)

    def _fetch(self) -> dict[str, str]:
        machine = self._machine()
        if machine is None:
            raise Gone(f"{self.folder.name}: its machine is lost")
        choice = machine.agent("sizes", self.remote, check=choose)
        if choice.left or choice.more:
            log.warning(
                "%s: too much, or of a name that only pgolf writes; left on %s: %s", self.folder, machine.name, choice
            )
        asked = [*choice.home, "exit.json"]
        there = machine.agent("hashes", self.remote, asked, lambda answer: checked_hashes(answer, asked))
        if sum(size for _, size in there.values()) > ALL_MOST or "exit.json" not in there:
            raise Refused(f"{machine.name}: its files are not those that it named a moment ago")
        ending = there.pop("exit.json")
        for name in set(MIRRORED) & set(choice.left):
            deadline = time.monotonic() + machine.time_for(MIRRORED_MOST)
            while self._mirror(machine, name):
                if time.monotonic() > deadline:
                    raise Refused(f"{machine.name}: {name} comes too slowly")
        for name, (sha256, size) in there.items():
            machine.get(self.remote / name, self.folder / name, sha256, size)
        for part in self.folder.rglob(".*.part"):  # of a file that has changed since it was begun
            part.unlink()
        written = read_json(self.folder / "pod.json", JSON_MOST, self.folder)
        write_json(self.folder / "pod.json", {**written, "started": self._told(machine, self.home.status()).started})
        machine.get(self.remote / "exit.json", self.folder / "exit.json", *ending)
        if self.home.status().state != "ended":
            (self.folder / "exit.json").unlink()
            raise Refused(f"{machine.name}: {self.remote}/exit.json does not say how the command ended")
        machine.agent("fetched", self.remote)
        return hash_folder(self.folder)

    def kill(self) -> None:
        """End the command and every process it made."""
        try:
            if machine := self._machine():
                machine.agent("kill", self.remote)
                if machine.agent("status", self.remote, check=checked_status).state == "running":
                    raise Gone(f"{machine.name}: the command goes on after it was ended")
        except Gone as e:
            log.warning("%s: %s", self.folder.name, e)
            self.broken = True  # the machine is given back, and that ends it

    def release(self) -> None:
        """End what still runs, and give the machine back."""
        try:
            if self.folder in self.place.held and (self.folder / "pod.json").exists():
                self.kill()
        finally:
            self.place.give_back(self.folder, self.broken)
