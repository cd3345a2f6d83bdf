"""The machines of a record: what takes them, and their files, `runs/<record-id>/pods/<slot>.json`, where every process
of the record finds what is known of them."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pgolf.errors import BadInput
from pgolf.pods import Gone, Kind
from pgolf.untrusted import parse_json, read_bytes

if TYPE_CHECKING:
    from pgolf.pods.machine import Machine

MOST_BYTES = 1 << 20  # of a slot's file


class Unfit(Gone):
    """The machine fails a check; another one may pass."""

    kind = Kind.UNFIT


class NotNow(Gone):
    """There is no such machine to be had just now, and none was taken."""


class Slot(Protocol):
    """A machine that runs one seed after another."""

    name: str

    def machine(self) -> "Machine":
        """The machine, ready to work; takes minutes the first time.

        Raises
        ------
        NotNow : there is none just now; the same slot may be asked again.
        Gone : it can't be had, or is unfit.
        RunFailed : there was none for too long.
        """

    def failed(self, error: Gone) -> None:
        """Note why it is not used."""

    def reach(self) -> "Machine":
        """The machine of a seed that was started there: connected, and not checked again. Raises Gone."""

    def gone(self) -> bool:
        """Whether it is certain that the machine does not exist any more."""

    def end(self) -> None:
        """Give it back."""


class Slots(Protocol):
    """The source of a record's machines. `paid`: one that does nothing costs money, too."""

    paid: bool

    def before(self) -> list[Slot]:
        """The machines that an earlier process of this record took and that still exist."""

    def another(self) -> Slot | None:
        """One more machine; None if there is none for now. RunFailed if no more are taken for this record."""

    def close(self) -> None:
        """Give back every machine, also those that no attempt holds."""


def read_slot(path: Path) -> dict[str, Any]:
    """The content of a slot's file; {} if it is missing. BadInput if it is another file, put there by somebody else."""
    if not os.path.lexists(path):
        return {}
    content = parse_json(read_bytes(path, MOST_BYTES, path.parent), str(path), number=_number)
    if not isinstance(content, dict):
        raise BadInput(f"{path}: not what pgolf keeps of a machine; look at what it is")
    return content


def _number(digits: str) -> int | float:
    """Also one that is not finite: a price that is none must not hide its pod."""
    return int(digits) if digits.lstrip("-").isdigit() and len(digits) < 20 else float(digits)


def machine_facts(record: Path) -> dict[str, dict[str, Any]]:
    """What was found on each machine that was made ready for a record, by the machine's name in it."""
    slots = {path.stem: read_slot(path) for path in slot_files(record)}
    return {name: slot["facts"] for name, slot in slots.items() if "facts" in slot}


def slot_files(record: Path) -> list[Path]:
    """The files of a record's slots."""
    return sorted((record / "pods").glob("*.json"), key=os.path.getmtime)


def lock_file(record: Path) -> Path:
    """The file that a process holds locked while it works on a record."""
    return record.with_name(f".{record.name}.lock")
