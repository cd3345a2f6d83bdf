"""What a pod's machine says, checked before it is used: its agent and the command there are strangers."""

import re
from typing import Any

from pgolf.errors import RunFailed
from pgolf.pods.names import stays_inside

SHA256 = re.compile(r"[0-9a-f]{64}")
# files of an attempt's folder that are written here only, by the pod and by the record
WRITTEN_HERE = ("place.json", "result.json", "ended_early.json")


def checked_hashes(answer: Any) -> dict[str, tuple[str, int]]:
    """SHA-256 and bytes by name of an agent's answer to `hashes`.

    Raises
    ------
    RunFailed : it has not that form, or a name would leave the folder or is hidden.
    """
    if not isinstance(answer, dict):
        raise RunFailed(f"not a table of files: {answer!r:.200}")
    found: dict[str, tuple[str, int]] = {}
    for name, value in answer.items():
        match value:
            case [str(sha256), int(size)] if SHA256.fullmatch(sha256) and size >= 0 and not isinstance(size, bool):
                found[name] = (sha256, size)
            case _:
                raise RunFailed(f"not a SHA-256 and a size: {value!r:.200} (of {name!r:.200})")
        if not stays_inside(name) or any(part.startswith(".") for part in name.split("/")):
            raise RunFailed(f"not the name of a file in the pod's folder: {name!r:.200}")
    return found


def is_written_here(name: str) -> bool:
    """Whether a file of a pod's is left there, because one of its name in an attempt's folder is written here only.

    >>> [is_written_here(name) for name in ("result.json", "result.json/x", "logs/result.json", "a/b/place.json")]
    [True, True, False, True]
    """
    parts = name.split("/")
    return parts[0] in WRITTEN_HERE or parts[-1] == WRITTEN_HERE[0]  # places are looked for in every folder
