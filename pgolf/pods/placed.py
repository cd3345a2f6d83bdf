"""Which machine elsewhere an attempt is on, and in which folder there: its file `attempt-<n>/place.json`."""

from collections.abc import Iterator
from pathlib import Path

from pgolf.errors import BadInput
from pgolf.pods.answers import JSON_MOST
from pgolf.pods.local import LocalPod
from pgolf.untrusted import read_json

PLACE_FILE = "place.json"


def place_of(attempt: Path) -> dict[str, str]:
    """Which machine an attempt is on (`slot`), and in which `folder` there; BadInput if its file says neither."""
    content = read_json(attempt / PLACE_FILE, JSON_MOST, attempt)
    if not isinstance(content, dict) or not all(isinstance(content.get(key), str) for key in ("slot", "folder")):
        raise BadInput(f"{attempt / PLACE_FILE}: not what pgolf wrote there; look at what it is")
    return content


def placed_attempts(record: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """The attempts of a record that have a machine elsewhere and are not home, with what their file says of it."""
    for file in sorted(record.rglob(f"attempt-*/{PLACE_FILE}")):
        placed = place_of(file.parent)
        if LocalPod(file.parent).status().state != "ended":
            yield file.parent, placed


def is_followed(attempt: Path) -> bool:
    """Whether there is another attempt after this one."""
    number = attempt.name.removeprefix("attempt-")
    return number.isdecimal() and attempt.with_name(f"attempt-{int(number) + 1}").exists()


def started_elsewhere(record: Path) -> dict[Path, str]:
    """The attempts that were started on a machine elsewhere and are not home, with the name of their machine.

    Of a run only the last one. They may have ended there. BadInput if a file of theirs is not what pgolf wrote.
    """
    last = [(attempt, placed["slot"]) for attempt, placed in placed_attempts(record) if not is_followed(attempt)]
    return {attempt: slot for attempt, slot in last if LocalPod(attempt).status().state != "fresh"}
