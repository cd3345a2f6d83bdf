"""What a pod says of itself, checked before it is used, and which of its files come home.

The agent there and the command are strangers: a name may lead anywhere, a number may be text, and a folder may hold
millions of files. A check raises ValueError with what was said, shortened.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any

from pgolf.files import stays_inside
from pgolf.pods import Status
from pgolf.pods.agent import FULL_DISK_BYTES, ends_a_run

SHA256 = re.compile(r"[0-9a-f]{64}")
# files of an attempt's folder that are written here only, by the pod and by the record
WRITTEN_HERE = ("place.json", "result.json", "ended_early.json")
MIRRORED = ("train.log", "events.jsonl")
MIRRORED_MOST = 256 << 20  # bytes of each that come home
FILE_MOST, ALL_MOST, FILES_MOST = 8 << 30, 64 << 30, 10_000  # bytes of a file, bytes and number of all
JSON_MOST = 1 << 20  # bytes of pod.json and of exit.json
LATEST = 1e11  # Unix time; a later one is no time
FACTS_MOST, WORD_MOST = 200, 200  # facts about a machine, and characters of one


@dataclass(frozen=True)
class Choice:
    """The names of the files that come home, of those that are left on the pod, and how many more are there."""

    home: tuple[str, ...]
    left: tuple[str, ...]
    more: int

    def __str__(self) -> str:
        """What is left there, in words: how many files, and the first of them."""
        shown = ", ".join(ascii(name)[1:-1] for name in self.left[:5])
        return f"{len(self.left) + self.more:,} files, {shown}" + (", …" if len(self.left) + self.more > 5 else "")


def choose(answer: Any) -> Choice:
    """Choose from the answer to `sizes` what comes home.

    pod.json and exit.json are in neither list: they are fetched apart. Left are files of names that the record writes
    itself or that are no plain paths, files over FILE_MOST, and a train.log or events.jsonl over MIRRORED_MOST, of
    which the mirror here has the beginning. Where the others are over FILES_MOST or ALL_MOST, only those come of them
    that `agent.ends_a_run` names, the smallest first, while they keep to these bounds.

    Raises
    ------
    ValueError : a name leads out of the folder or is hidden, a size is not one, or pod.json or exit.json is missing.
    """
    if not (isinstance(answer, dict) and isinstance(answer.get("files"), dict) and _is_count(answer.get("more"))):
        raise ValueError(f"no table of files: {answer!r:.200}")
    sizes: dict[str, int] = answer["files"]
    for name, size in sizes.items():
        if any(not part or part.startswith(".") for part in name.split("/")):
            raise ValueError(f"not a file in the pod's folder: {name!r:.200}")
        if not _is_count(size):
            raise ValueError(f"not a size: {size!r:.200} (of {name!r:.200})")
    apart = {name: sizes.get(name) for name in ("pod.json", "exit.json")}
    if any(size is None or size > JSON_MOST for size in apart.values()):
        raise ValueError(f"files that are missing or too large: {apart!r}")
    fit = {name: size for name, size in sizes.items() if name not in apart and _fits(name, size)}
    if len(fit) + answer["more"] > FILES_MOST or sum(fit.values()) > ALL_MOST:
        fit = _within_bounds({name: size for name, size in fit.items() if ends_a_run(name)})
    left = (name for name in sizes if name not in fit and name not in apart)
    return Choice(tuple(sorted(fit)), tuple(sorted(left)), answer["more"])


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _fits(name: str, size: int) -> bool:
    most = MIRRORED_MOST if name in MIRRORED else FILE_MOST
    return size <= most and stays_inside(name) and not is_written_here(name)


def _within_bounds(sizes: dict[str, int]) -> dict[str, int]:
    """The smallest files, while they are not too many and not too much."""
    total, kept = 0, {}
    for name, size in sorted(sizes.items(), key=lambda item: item[1])[:FILES_MOST]:
        total += size
        if total > ALL_MOST:
            break
        kept[name] = size
    return kept


def is_written_here(name: str) -> bool:
    """Whether a file of a pod's is left there, because one of its name in an attempt's folder is written here only.

    >>> [is_written_here(name) for name in ("result.json", "result.json/x", "logs/result.json", "a/b/place.json")]
    [True, True, False, True]
    """
    parts = name.split("/")
    return parts[0] in WRITTEN_HERE or parts[-1] == WRITTEN_HERE[0]  # places are looked for in every folder


def checked_hashes(answer: Any, asked: Collection[str]) -> dict[str, tuple[str, int]]:
    """SHA-256 and bytes by name, from the answer to `hashes`; ValueError where it has not that form, or other names."""
    if not isinstance(answer, dict):
        raise ValueError(f"no table of files: {answer!r:.200}")
    known, found = set(asked), {}
    for name, value in answer.items():
        if name not in known:
            raise ValueError(f"a file that was not asked for: {name!r:.200}")
        match value:
            case [str(sha256), size] if SHA256.fullmatch(sha256) and _is_count(size):
                found[name] = (sha256, size)
            case _:
                raise ValueError(f"not a SHA-256 and a size: {value!r:.200} (of {name!r:.200})")
    return found


def checked_status(answer: Any) -> Status:
    """The status in an agent's answer; ValueError where it has not that form."""
    names = {field.name for field in fields(Status)}
    if not (isinstance(answer, dict) and answer.keys() <= names and "state" in answer):
        raise ValueError(f"no status: {answer!r:.200}")
    status = Status(**answer)
    code = status.exit_code
    right = (
        status.state in ("fresh", "running", "ended", "lost")
        and (code is None if status.state != "ended" else isinstance(code, int) and -64 <= code <= 255)
        and all(time is None or _is_time(time) for time in (status.started, status.ended))
        and isinstance(status.interrupted, bool)
        and isinstance(status.disk_full, bool)
    )
    if not right:
        raise ValueError(f"no status: {answer!r:.200}")
    return status


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < LATEST


def status_of_end(ending: dict[str, Any], started: float | None) -> Status:
    """The status that an exit.json tells of; ValueError where that has not the form of a supervisor's."""
    free, code = ending.get("disk_free", FULL_DISK_BYTES), ending.get("exit_code")
    if not isinstance(free, int) or not isinstance(ending.get("signals"), list):
        raise ValueError(f"no exit.json of a supervisor's: {ending!r:.200}")
    return checked_status(
        {
            "state": "ended",
            "exit_code": code,
            "interrupted": bool(ending["signals"]),
            "started": started,
            "ended": ending.get("ended"),
            "disk_full": code != 0 and free < FULL_DISK_BYTES,
        }
    )


def checked_facts(said: str, versions: str) -> dict[str, Any]:
    """What was found on a machine, from the last line of bootstrap.sh and the words of versions.py.

    ValueError or RecursionError where they are not tables of short words and finite numbers.
    """
    facts, named = json.loads((said.splitlines() or [""])[-1]), json.loads(versions)
    for table in (facts, named):
        if not isinstance(table, dict) or len(table) > FACTS_MOST:
            raise ValueError(f"no table of what was found: {table!r:.200}")
        for name, value in table.items():
            if not (_is_word(name) and (value is None or _is_word(value) or _is_number(value))):
                raise ValueError(f"not a fact about a machine: {name!r:.100}: {value!r:.100}")
    if not all(isinstance(version, str) for version in named.values()):
        raise ValueError(f"not a version: {named!r:.200}")
    return {**facts, "versions": named}


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and len(value) <= WORD_MOST


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LATEST
