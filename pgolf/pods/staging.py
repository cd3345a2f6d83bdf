"""Bring a dataset to a machine: the machine fetches it from the dataset's source, or is sent it from here.

Pods have the hub's bandwidth, and this machine has its user's line; so what has a source is sent only where that fails,
and only if it is little. What took how long is told to the caller, which keeps it for the next estimate.
"""

import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import TYPE_CHECKING, Any, Literal

from pgolf.errors import BadInput, RunFailed
from pgolf.pace import projected_end
from pgolf.pods import Gone, Kind, fetching
from pgolf.pods.answers import checked_hashes
from pgolf.pods.machine import Machine, Refused
from pgolf.pods.settings import Staging
from pgolf.pods.slots import Unfit
from pgolf.requirements import HUB
from pgolf.sources import ENDPOINT, Source
from pgolf.untrusted import parse_json

if TYPE_CHECKING:
    from pgolf.pods.ssh import Data

log = logging.getLogger(__name__)
Way = Literal["hub", "web", "here"]
WAYS: Mapping[Way, str] = {"hub": "the hub", "web": "its folder behind https", "here": "this machine"}
SCRIPT, THERE = Path(fetching.__file__), PurePosixPath(Path(fetching.__file__).name)
TOKEN, ENDPOINT_VARIABLE = "PGOLF_PODS_HF_TOKEN", "HF_ENDPOINT"
SEND_MOST = 2e9  # bytes that a rented machine is sent where its source fails
TOO_MUCH = (
    "{:.1f} GB are too much to send from here: name a source (pgolf data source), fill a network volume first "
    "(pgolf pods stage; --again if it was whole before), or raise send_most_gb of pods.toml"
)
POLL_S, TELL_S = 2.0, 30.0
SPARE_S = 120.0  # for a machine to say that its time is over
STARTS = 5  # of a fetch whose process is lost
NUMBERS_MOST = 1e15
STATES = ("running", "done", "failed", "lost")


@dataclass(frozen=True)
class Staged:
    """Bytes that came to a machine in one go: which way, how many, and in how many seconds."""

    way: Way
    bytes: int
    seconds: float

    @property
    def where(self) -> str:
        """Where they came from, in words."""
        return WAYS[self.way]

    def as_json(self) -> dict[str, Any]:
        """As a slot's file keeps it."""
        return asdict(self)


def also_staged(slot: Mapping[str, Any], staged: Sequence[Staged]) -> list[dict[str, Any]]:
    """What has come to a machine so far, for its slot's file: what that has already, and these."""
    return [*slot.get("staged", []), *(one.as_json() for one in staged)]


class SourceFailed(RunFailed):
    """The source did not give the files. `permanent`: it would not give them to another machine either."""

    def __init__(self, message: str, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


class Pace:
    """Tells in the log, now and then, how far the bytes of a machine are, how fast they come, and when it is done."""

    def __init__(self, name: str, way: Way, total: int) -> None:
        self.name, self.way, self.total = name, WAYS[way], total
        self.began = self.told = time.monotonic()
        self.first: int | None = None

    def tell(self, done: int) -> None:
        """`done` bytes are there."""
        now = time.monotonic()
        if self.first is None:
            self.began, self.first = now, done
        if now - self.told < TELL_S:
            return
        self.told = now
        said = f"{self.name}: {done / 1e9:.2f} of {self.total / 1e9:.2f} GB from {self.way}"
        end = projected_end((0.0, self.first), (now - self.began, done), self.total)
        if end is not None:
            rate = (done - self.first) / (now - self.began)
            said += f", {rate / 1e6:.1f} MB/s, {end - (now - self.began):.0f} s left"
        log.info("%s", said)


def stage_data(machine: Machine, data: "Data", staging: Staging, send_most: float) -> list[Staged]:
    """Bring the dataset's files to a machine, but for those already there; what was brought.

    Parameters
    ----------
    send_most : bytes that are sent from here where the source fails and the settings have no bound.

    Raises
    ------
    Unfit : this machine cannot fetch them, and they are too much to be sent.
    RunFailed : the source has not these files, and they are too much to be sent.
    Gone : the machine does not answer.
    """
    missing = missing_there(machine, data, list(data.files))
    failed: SourceFailed | None = None
    if missing and data.source:
        try:
            return [fetch(machine, data, data.source, missing, staging)]
        except SourceFailed as e:
            failed = e
            missing = missing_there(machine, data, missing)
    size = size_of(data, missing)
    if size > most_sent(staging, send_most):
        said = f"{machine.name}: {failed or 'the dataset has no source'}; {TOO_MUCH.format(size / 1e9)}"
        raise Unfit(said, Kind.DATA) if failed and not failed.permanent else RunFailed(said)
    if failed and missing:
        log.warning("%s: %s; %.2f GB are sent from here instead", machine.name, failed, size / 1e9)
    return [send(machine, data, missing)] if missing else []


def missing_there(machine: Machine, data: "Data", names: Sequence[str]) -> list[str]:
    """Those of the dataset's files that a machine has not, or not as they are here."""
    there = machine.agent("hashes", data.folder, list(names), lambda answer: checked_hashes(answer, names))
    return [name for name in names if there.get(name, ("", 0))[0] != data.files[name]]


def size_of(data: "Data", names: Sequence[str]) -> int:
    """Bytes of these files of the dataset."""
    return sum((data.root / name).stat().st_size for name in names)


def most_sent(staging: Staging, default: float) -> float:
    """Bytes that may be sent where the source fails."""
    return default if staging.send_most_gb is None else 1e9 * staging.send_most_gb


def is_large(data: "Data", staging: Staging) -> bool:
    """Whether a dataset is too much to be sent to each rented pod."""
    return size_of(data, list(data.files)) > most_sent(staging, SEND_MOST)


def check_sendable(data: "Data", staging: Staging) -> None:
    """Raise BadInput, before pods are rented, if each would have to be sent too much from here."""
    if data.source is None and is_large(data, staging):
        size = size_of(data, list(data.files)) / 1e9
        raise BadInput(f"{data.root}: has no source that pods could fetch it from, and {TOO_MUCH.format(size)}")


def send(machine: Machine, data: "Data", names: Sequence[str]) -> Staged:
    """Send these files of the dataset, one after another."""
    began, total, done = time.monotonic(), size_of(data, names), 0
    log.info("%s: sending %.2f GB in %d files", machine.name, total / 1e9, len(names))
    pace = Pace(machine.name, "here", total)
    for name in names:
        pace.tell(done)
        machine.put(data.root / name, data.folder / name)
        done += size_of(data, [name])
    return Staged("here", total, round(time.monotonic() - began, 3))


def fetch(machine: Machine, data: "Data", source: Source, names: Sequence[str], staging: Staging) -> Staged:
    """Let a machine fetch these files of the dataset, and wait until it has; a lost connection only asks again.

    Raises
    ------
    SourceFailed : it cannot, for a reason of the source, its network or its disk.
    Gone : it does not answer, or the record is being stopped.
    """
    way: Way = "hub" if source.repository else "web"
    machine.put(SCRIPT, THERE)
    job, total = json.dumps(job_of(data, source, names, staging)), size_of(data, names)
    log.info("%s: fetching %.2f GB in %d files from %s", machine.name, total / 1e9, len(names), source.url)
    began, starts, pace = time.monotonic(), 0, Pace(machine.name, way, total)
    said = Said("lost")
    while said.state != "done":
        if machine.stop.is_set():
            _ask(machine, "stop", data)
            raise Gone(f"{machine.name}: the record is being stopped")
        if said.state == "failed":
            raise SourceFailed(f"cannot fetch from {source.url}: {said.error}", said.permanent)
        if time.monotonic() - began > staging.seconds + SPARE_S or starts > STARTS:
            _ask(machine, "stop", data)
            why = f"not done in {staging.seconds:.0f} s" if starts <= STARTS else "its process is lost again and again"
            raise SourceFailed(f"cannot fetch from {source.url}: {why}", permanent=False)
        if said.state == "lost":
            starts += 1
            said = _ask(machine, "start", data, job)
        else:
            machine.stop.wait(min(POLL_S, 0.1 + (time.monotonic() - began) / 10))
            said = _ask(machine, "status", data)
        if said.seconds:
            pace.tell(said.bytes)
    log.info("%s: %.2f GB came from %s in %.0f s", machine.name, total / 1e9, WAYS[way], said.seconds)
    return Staged(way, max(0, total - said.had), said.seconds)


def job_of(data: "Data", source: Source, names: Sequence[str], staging: Staging) -> dict[str, Any]:
    """What `fetching.py` is told, on its standard input: a token of the user's goes nowhere else."""
    files = [{"name": name, "sha256": data.files[name], "size": size_of(data, [name])} for name in names]
    job: dict[str, Any] = {"at_once": staging.at_once, "seconds": staging.seconds}
    if source.repository is None:
        return job | {"web": True, "files": [file | {"path": source.url_of(str(file["name"]))} for file in files]}
    repository, commit = source.repository
    endpoint = os.environ.get(ENDPOINT_VARIABLE) or None
    if endpoint and not ENDPOINT.fullmatch(endpoint):
        raise BadInput(f"{ENDPOINT_VARIABLE}={endpoint[:100]!r}: pods fetch from https://host only")
    return job | {
        "repository": repository,
        "commit": commit,
        "endpoint": endpoint,
        "token": os.environ.get(TOKEN) or None,
        "package": HUB,
        "files": [file | {"path": source.path_of(str(file["name"]))} for file in files],
    }


@dataclass(frozen=True)
class Said:
    """The answer of `fetching.py`, checked."""

    state: str
    bytes: int = 0
    had: int = 0
    seconds: float = 0.0
    error: str = "no reason"
    permanent: bool = False


def _ask(machine: Machine, action: str, data: "Data", job: str = "") -> Said:
    script, folder = machine.work / THERE, machine.work / data.folder
    answer = machine.run(f"{quote(machine.python)} {quote(str(script))} {action} {quote(str(folder))}", job)
    try:
        return checked(parse_json(answer, "its answer"))
    except BadInput as e:
        raise Refused(f"{machine.name}: a wrong answer to '{action}' of {THERE}: {e}") from None


def checked(answer: Any) -> Said:
    """What a machine says of a fetch; BadInput if it has another form."""
    if not isinstance(answer, dict) or answer.get("state") not in STATES:
        raise BadInput(f"no state: {answer!r:.200}")
    numbers = [answer.get(name, 0) for name in ("bytes", "had", "seconds")]
    if not all(isinstance(n, int | float) and not isinstance(n, bool) and 0 <= n < NUMBERS_MOST for n in numbers):
        raise BadInput(f"no numbers: {answer!r:.200}")
    error = str(answer.get("error") or "no reason")[: fetching.ERROR_MOST]
    shown = "".join(c if c.isprintable() else "?" for c in error)
    return Said(answer["state"], int(numbers[0]), int(numbers[1]), numbers[2], shown, answer.get("permanent") is True)
