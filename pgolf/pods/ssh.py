"""The machines of `[[ssh.machines]]` in pods.toml, taken in order."""

import getpass
import logging
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pgolf.errors import BadInput
from pgolf.files import write_atomic, write_json
from pgolf.pods import Gone
from pgolf.pods.bootstrap import MachineSpec, prepare
from pgolf.pods.machine import Machine, ensure_key
from pgolf.pods.needs import Needs, digest
from pgolf.pods.pins import Address
from pgolf.pods.settings import Inventoried, Ssh
from pgolf.pods.slots import Slot, read_slot
from pgolf.pods.staging import also_staged, stage_data
from pgolf.requirements import ALWAYS
from pgolf.sources import Source

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Data:
    """Seeds find this on every machine: a dataset (SHA-256 by path relative to `root`), Python packages, and what
    their program needs beside those."""

    root: Path
    files: Mapping[str, str]
    packages: tuple[str, ...] = ALWAYS
    needs: Needs = field(default_factory=Needs)
    source: Source | None = None  # where a machine can fetch it; None: it is sent

    @property
    def folder(self) -> PurePosixPath:
        """Where the dataset lies, in a machine's work folder; another one for other files, so that none are mixed."""
        return PurePosixPath("data") / digest(dict(self.files))[:16]


class Inventory:
    """See `pgolf.pods.remote.Slots`.

    Raises
    ------
    BadInput : there is no machine in it.
    """

    paid = False

    def __init__(self, settings: Ssh, folder: Path, data: Data, stop: threading.Event) -> None:
        if not settings.machines:
            raise BadInput("no machine to use: pods.toml has no [[ssh.machines]]; docs/runpod.md shows one")
        ensure_key(settings.key)
        self.slots = [InventorySlot(m, settings, folder / f"{m.name}.json", data, stop) for m in settings.machines]
        self.unused = [*self.slots]

    def before(self) -> list[Slot]:
        """The machines that have a file in the record's folder."""
        known: list[Slot] = [slot for slot in self.slots if slot.path.exists()]
        self.unused = [slot for slot in self.slots if slot not in known]
        return known

    def another(self) -> Slot | None:
        """The next machine that this record has not used."""
        return self.unused.pop(0) if self.unused else None

    def close(self) -> None:
        """Do nothing: the machines are the user's."""


class InventorySlot:
    """One machine of the user's. Given back, it is not used any more; nothing ends it."""

    def __init__(self, listed: Inventoried, settings: Ssh, path: Path, data: Data, stop: threading.Event) -> None:
        self.name, self.listed, self.settings, self.path, self.data = listed.name, listed, settings, path, data
        pins = path.with_suffix(".pin") if listed.host_key else settings.known_hosts
        address = Address(listed.host, listed.port, listed.user or getpass.getuser(), settings.key, pins)
        self.reached = Machine(self.name, address, settings.work, settings.python, stop, settings.patience_s)
        self.lock = threading.Lock()

    def machine(self) -> Machine:
        """The machine; checked, and given the dataset, once per record and program."""
        data, gpu_types = self.data, (self.listed.gpu,) if self.listed.gpu else ()
        wanted = MachineSpec(self.settings.checks, data.packages, self.listed.gpus, gpu_types, data.needs)
        ready = wanted.key(data.files)
        with self.lock:
            if read_slot(self.path).get("ready") != ready:
                at = self.reached.address
                if self.listed.host_key:
                    write_atomic(at.pins, f"[{at.host}]:{at.port} {self.listed.host_key}\n")
                facts = prepare(self.reached, wanted)
                brought = stage_data(self.reached, data, self.settings.staging, send_most=math.inf)
                staged = also_staged(read_slot(self.path), brought)
                write_json(self.path, {"name": self.name, "ready": ready, "facts": facts, "staged": staged})
        return self.reached

    def reach(self) -> Machine:
        """The machine, as it is."""
        return self.reached

    def failed(self, error: Gone) -> None:
        """Note nothing: there are only so many machines in the inventory."""

    def gone(self) -> bool:
        """False: it is never certain."""
        return False

    def end(self) -> None:
        """Close the connection."""
        self.reached.close()
