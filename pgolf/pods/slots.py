"""The files of a record's machines, `runs/<record-id>/pods/<slot>.json`: what every process knows of them."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any


def read_slot(path: Path) -> dict[str, Any]:
    """The content of a slot's file; {} if it is missing."""
    with suppress(FileNotFoundError):
        return dict(json.loads(path.read_text()))
    return {}


def machine_facts(record: Path) -> dict[str, dict[str, Any]]:
    """What was found on each machine that was made ready for a record, by the machine's name in it."""
    slots = {path.stem: read_slot(path) for path in slot_files(record)}
    return {name: slot["facts"] for name, slot in slots.items() if "facts" in slot}


def slot_files(record: Path) -> list[Path]:
    """The files of a record's slots."""
    return sorted((record / "pods").glob("*.json"), key=os.path.getmtime)
