"""Pods: places where one command runs detached, watched by an orchestrator that may come and go.

A folder and a process on this machine (`local.py`), on any machine that one can reach (`ssh.py`), or on one that is
rented for it (`runpod.py`). Whatever a pod is, it behaves like this: the command is started at most once, outlives its
starter, and leaves its output and exit code in files; anyone who opens the same pod later goes on from there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol

from pgolf.errors import RunFailed

PYTHON = "python"  # as a command's first word: the interpreter that the pod's machine runs trainers with


class Kind(StrEnum):
    """The ways in which a machine fails. Machines of one kind failed alike, whatever the words."""

    NOT_MADE = "the request failed, and no pod was made"
    ENDED = "the pod ended before it was ready"
    NO_ADDRESS = "no address"
    NO_ANSWER = "no answer by SSH"
    KEY_REFUSED = "the SSH key is refused"
    PRICE_UNKNOWN = "price unknown"
    TOO_DEAR = "too dear"
    PYTHON = "unfit: python"
    GPUS = "unfit: gpus"
    DISK = "unfit: disk"
    SETUP = "unfit: setup"
    PACKAGES = "unfit: packages"
    NEEDS = "unfit: needs"
    TORCH = "unfit: torch"
    CLOCK = "unfit: clock"
    DATA = "unfit: dataset"
    UNFIT = "unfit"
    REFUSED = "a command is refused"
    LOST = "lost"


class Gone(RunFailed):
    """The pod's machine does not answer, does not do what it is told, or is not there any more; `kind` says which."""

    kind = Kind.LOST

    def __init__(self, message: str, kind: Kind | None = None) -> None:
        super().__init__(message)
        self.kind = kind or self.kind


@dataclass(frozen=True)
class Status:
    """Where a pod's command stands.

    `fresh`: nothing was started. `running`: it lives. `ended`: `exit_code` says how (negative: by a signal).
    `lost`: it was started, is gone, and nobody could write down how it ended (machine or supervisor killed).
    `interrupted`: it was told to end, and may have made an ordinary exit code of that.
    `disk_full`: it failed on a machine without room, which says nothing of the command.
    `started` and `ended` are Unix times.
    """

    state: Literal["fresh", "running", "ended", "lost"]
    exit_code: int | None = None
    interrupted: bool = False
    started: float | None = None
    ended: float | None = None
    disk_full: bool = False

    @property
    def infrastructure(self) -> bool:
        """Whether the command was taken down from outside (signal, dead or full machine), not by its own failure."""
        if self.state == "ended":
            return self.exit_code != 0 and (self.interrupted or self.disk_full or (self.exit_code or 0) < 0)
        return self.state == "lost"


class Pod(Protocol):
    """A place where one command runs. `folder`, on this machine, is where its files come home to, or are."""

    folder: Path

    def put(self, source: Path, name: str) -> None:
        """Copy a file into the pod's folder, whole or not at all, and make it executable if it is a shell script.

        `name` is relative to the pod's folder. BadInput if it leaves that, or if the pod writes a file of this name.
        """

    def start(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Start `command` detached in the pod's folder; RuntimeError if this pod has started one before."""

    def status(self) -> Status:
        """Whether the command runs, and how it ended."""

    def output(self, offset: int, name: str) -> tuple[str, int]:
        """Text of file `name` from byte `offset`, cut before an unfinished character; and the next offset."""

    def fetch(self) -> dict[str, str]:
        """Bring the pod's files home; SHA-256 by relative path."""

    def kill(self) -> None:
        """End the command and every process it made. Nothing of the pod runs when this returns."""

    def release(self) -> None:
        """Give the pod back. Its files at home stay."""


class Place(Protocol):
    """Opens the pods of a record."""

    def open(self, folder: Path) -> Pod:
        """Open the pod whose files come home to `folder`: the one opened there before, as it stands, or a new one.

        Takes no machine before a file is put there.
        """
