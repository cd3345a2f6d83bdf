"""Machines that fail before they are ready, counted over a whole record and over all its processes.

A rented machine costs money while one waits for it, so a record does not rent for ever: three that failed alike before
any was ready end it, and after eight of any kind it rents no more. The count is in the slots' files; it begins anew
once a record has come to its end and has said so, not after a kill.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgolf.files import write_json
from pgolf.pods import Kind
from pgolf.pods.settings import Rent
from pgolf.pods.slots import read_slot, slot_files

ALIKE_MOST = 3  # machines in a row, while none is ready
MACHINES_MOST = 8  # of a record, of any kind
ATTEMPTS_MOST = 3  # at a seed whose machine is lost, by one process

_IMAGE = "change template_id or image in [runpod.rent], or install what is missing by the program's own setup"
HINTS = {
    Kind.NO_ADDRESS: "they got no public address: does the image start at all? Try other data_centers or another cloud",
    Kind.NO_ANSWER: "no sshd answered: does the image run /start.sh, or has it an sshd of its own? Start one pod of it "
    "by hand, read its log in RunPod's console, and try ssh",
    Kind.ENDED: "they ended by themselves: does the image's own start end? Start one pod of it by hand, and read "
    "its log in RunPod's console",
    Kind.KEY_REFUSED: "the image does not take the key in PUBLIC_KEY: its start has to write that into the "
    "authorized_keys of `user` in [runpod]",
    Kind.PRICE_UNKNOWN: "RunPod names no price, and no pod is kept whose cost is unknown: see what its console says of "
    "them, and try again later",
    Kind.TOO_DEAR: "raise max_price_per_hour in [runpod.rent], or rent other gpu_types",
    Kind.PYTHON: _IMAGE,
    Kind.PACKAGES: _IMAGE,
    Kind.NEEDS: _IMAGE,
    Kind.TORCH: _IMAGE,
    Kind.SETUP: "the program's own setup fails there, in its own words above",
    Kind.DISK: "raise container_disk_gb or volume_gb in [runpod.rent], or lower what [runpod.checks] asks for",
    Kind.DATA: "they cannot fetch from the dataset's source: try other data_centers, or fill a network volume",
    Kind.GPUS: "they are not what was asked for: try other data_centers or gpu_types in [runpod.rent]",
}


@dataclass(frozen=True)
class Failed:
    """A machine that failed before it was ready: its slot, how, in which words, and what was asked for."""

    slot: str
    kind: Kind
    why: str
    asked: str


@dataclass(frozen=True)
class Tried:
    """The machines of a record since it was last at its end: whether one was ready, and those that failed, in order."""

    ready: bool
    failed: Sequence[Failed]

    @property
    def alike(self) -> list[Failed]:
        """The last ones that failed alike; requests that made no pod are left out."""
        pods = [one for one in self.failed if one.kind != Kind.NOT_MADE]
        row: list[Failed] = []
        for one in reversed(pods):
            if (one.kind, one.asked) != (pods[-1].kind, pods[-1].asked):
                break
            row.insert(0, one)
        return row

    @property
    def hopeless(self) -> str | None:
        """Why the record is to end: all failed alike, and none was ever ready. None: it may go on."""
        row = self.alike
        if self.ready or len(row) < ALIKE_MOST:
            return None
        last = row[-1]
        hint = HINTS.get(last.kind, "the log says what each of them said")
        return (
            f"{len(row)} machines in a row ({', '.join(one.slot for one in row)}) failed in the same way, and none was "
            f"ready before: {last.kind}. Each was asked for as {last.asked}. The last one: {last.why}. Look at this: "
            f"{hint}. Nothing more is rented; the same command tries {ALIKE_MOST} more machines"
        )

    @property
    def spent(self) -> str | None:
        """Why no more machine is rented, though others may be at work; None: one may be."""
        if len(self.failed) < MACHINES_MOST:
            return None
        kinds = ", ".join(dict.fromkeys(str(one.kind) for one in self.failed))
        return f"{len(self.failed)} machines of this record failed before they were ready ({kinds}); no more is rented"

    def room(self, pending: int) -> bool:
        """Whether one more may be rented while `pending` others are not ready yet: each of them may fail as well."""
        alike = self.ready or len(self.alike) + pending < ALIKE_MOST
        return alike and len(self.failed) + pending < MACHINES_MOST


def tried(record: Path) -> Tried:
    """The machines that count, from the slots' files."""
    slots = [slot for slot in map(read_slot, slot_files(record)) if not slot.get("settled")]
    failed = sorted((slot for slot in slots if _has_failed(slot)), key=lambda slot: float(slot["failed"]["at"]))
    return Tried(
        any("ready" in slot for slot in slots),
        [
            Failed(_name(slot), Kind(slot["failed"]["kind"]), slot["failed"]["why"], slot.get("asked_for", "unknown"))
            for slot in failed
        ],
    )


def asked_for(rent: Rent, gpus: int) -> str:
    """What a pod is asked for, in words; pods that were asked for in other words did not fail alike."""
    image = f"image {rent.image}" if rent.image else f"template {rent.template_id}"
    types, where = " or ".join(rent.gpu_types) or "CPU", ", ".join(rent.data_centers) or "any data center"
    spot = ", spot" if rent.spot else ""
    return f"{gpus} x {types}, {image}, {rent.cloud.lower()} cloud{spot}, {where}"


def is_pending(slot: dict[str, Any]) -> bool:
    """Whether nothing has come of a slot yet: it is neither ready, nor failed, nor ended."""
    return not {"ready", "failed", "ended"} & slot.keys()


def _has_failed(slot: dict[str, Any]) -> bool:
    return "failed" in slot and "ready" not in slot


def _name(slot: dict[str, Any]) -> str:
    """`pod-1` of `pgolf.me.record.pod-1.c0ffee`."""
    return str(slot["name"]).split(".")[-2] if "." in str(slot["name"]) else str(slot["name"])


def settle_failures(record: Path) -> None:
    """Begin a new count: the record has come to its end, and has said why."""
    for path in slot_files(record):
        slot = read_slot(path)
        if not slot.get("settled"):
            write_json(path, {**slot, "settled": True})
