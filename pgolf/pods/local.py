"""A pod on this machine: a folder, and one detached process tree that marks itself by its environment.

A process is identified by (pid, start time), because a pid alone is given out again. It is ended by its mark, because
a process group is not enough: torchrun gives each worker a session of its own, and an orphan has no parent.
"""

import codecs
import errno
import logging
import os
import stat
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from pgolf.errors import RunFailed
from pgolf.files import write_atomic
from pgolf.pods import PYTHON, Status, agent
from pgolf.pods.answers import JSON_MOST, WRITTEN_HERE, choose, status_of_end
from pgolf.pods.names import checked_name
from pgolf.untrusted import Untrusted, parse_json

log = logging.getLogger(__name__)
MARK = "PGOLF_POD"  # environment variable that every process of a pod carries: the pod's folder
START_TIME_SLACK_S = 2.0  # start times count from the kernel's boot time, which wobbles with the clock
START_TIMEOUT_S = 60.0
GRACE_S = 10.0  # between asking a process to end and ending it
PLACE = "place"  # key in pod.json: the machine of a pod that is elsewhere
READ_AT_ONCE = 8 << 20  # bytes that `output` gives in one call

# All that a command gets of the orchestrator's environment: a knob set in someone's shell must not change a
# record, and no secret comes near a log.
INHERITED = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")


class LocalPod:
    """See `pgolf.pods.Pod`. Opening a folder that has been a pod before takes it up where it stands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)

    def put(self, source: Path, name: str) -> None:
        """Copy a file into the pod's folder, whole or not at all; a shell script can be executed there."""
        relative = checked_name(name)
        write_atomic(self.folder / relative, source.read_bytes())
        if relative.suffix == ".sh":
            (self.folder / relative).chmod(0o755)

    def start(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Start `command` detached, in its own session, with `env` over a minimal environment.

        Raises
        ------
        RuntimeError : this pod has started a command before, or its supervisor does not come up.
        """
        if self.status().state != "fresh":
            raise RuntimeError(f"{self.folder}: has run a command already; a pod runs one")
        if command[0] == PYTHON:
            command = [sys.executable, *command[1:]]
        self.kill()  # a supervisor whose starter was killed before it could write pod.json
        inherited = {k: os.environ[k] for k in INHERITED if k in os.environ}
        with (self.folder / "supervisor.err").open("ab") as log:
            supervisor = subprocess.Popen(
                [sys.executable, "-P", "-m", "pgolf.pods.supervisor", *command],
                cwd=self.folder,
                env=inherited | {"PYTHONUNBUFFERED": "1"} | dict(env) | {MARK: str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (self.folder / "pod.json").exists():
            if supervisor.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.folder}: the supervisor does not start; see supervisor.err there")
            time.sleep(0.01)

    def status(self) -> Status:
        """Whether the command runs, and how it ended. While its supervisor lives, the command runs, whatever it has put
        into exit.json's place; afterwards an exit.json that has not the form of a supervisor's counts as missing."""
        supervisor = self._supervisor()  # asked first: it writes exit.json before it goes
        started = began(self._read("pod.json"))
        if supervisor:
            return Status("running", started=started)
        if ending := self._read("exit.json"):
            with suppress(ValueError):
                return status_of_end(ending, started)
        return Status("lost" if (self.folder / "pod.json").exists() else "fresh", started=started)

    def output(self, offset: int, name: str = "train.log") -> tuple[str, int]:
        """Text of file `name` from byte `offset`, cut before an unfinished character; and the next offset.

        At most READ_AT_ONCE bytes: there may be more until a call gives none.
        """
        data = read_part(self.folder / name, offset, READ_AT_ONCE)
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        text = decoder.decode(data)
        unfinished, _ = decoder.getstate()
        return text, offset + len(data) - len(unfinished)

    def fetch(self) -> dict[str, str]:
        """SHA-256 by relative path of the folder's files; they are home already.

        Files that are too large or too many to come home from a pod elsewhere are left out, and named in the log.

        Raises
        ------
        RunFailed : what the supervisor has written is missing.
        """
        try:
            choice = choose(sizes := agent.sizes(str(self.folder)))
        except ValueError as e:
            raise RunFailed(f"{self.folder}: {e}") from None
        own = [name for name in WRITTEN_HERE if sizes["files"].get(name, JSON_MOST) < JSON_MOST]
        choice = replace(choice, left=tuple(name for name in choice.left if name not in own))
        if choice.left or choice.more:
            log.warning("%s: too large, or too many files; not hashed: %s", self.folder, choice)
        found = agent.hashes(str(self.folder), [*choice.home, *own, "exit.json", "pod.json"])
        return {name: sha256 for name, (sha256, _) in sorted(found.items())}

    def kill(self) -> None:
        """End every process that carries this pod's mark, or was made by one that lives: SIGTERM first, then SIGKILL.

        The supervisor hands SIGTERM on to the command, which gets it once, and ends last, so that it can write
        how the command ended.
        """
        everyone = self._marked()
        supervisor = self._supervisor()
        command: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            command = supervisor.children() if supervisor else []
            family = supervisor.children(recursive=True) if supervisor else []
            everyone += [process for process in family if process not in everyone]  # of another environment
        for signal, spared in (
            (psutil.Process.terminate, command),
            (psutil.Process.kill, [supervisor]),
            (psutil.Process.kill, []),
        ):
            for process in everyone:
                if process not in spared:
                    with suppress(psutil.NoSuchProcess):
                        signal(process)
            psutil.wait_procs(everyone, timeout=GRACE_S)

    def release(self) -> None:
        """End what still runs; the folder stays, it is part of the record."""
        self.kill()

    def _marked(self) -> list[psutil.Process]:
        marked = []
        for process in psutil.process_iter():
            # a process that ended meanwhile, a zombie or another user's process is not of this pod
            with suppress(psutil.Error, OSError):
                if process.environ().get(MARK) == str(self.folder):
                    marked.append(process)
        return marked

    def _supervisor(self) -> psutil.Process | None:
        """The live supervisor that pod.json names: same pid and same start time."""
        written = self._read("pod.json")
        try:
            if PLACE in written:  # its pid is another machine's
                return None
            if not isinstance(written["pid"], int) or not isinstance(written["started"], int | float):
                return None  # the command has written over it
            process = psutil.Process(written["pid"])
            same = abs(process.create_time() - written["started"]) < START_TIME_SLACK_S
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except (KeyError, ValueError, OverflowError, psutil.NoSuchProcess):
            return None

    def _read(self, name: str) -> dict[str, Any]:
        """A JSON file of the supervisor's, or {} where it has not written it (yet), or the command has put another
        thing in its place."""
        try:
            content = parse_json(read_part(self.folder / name, 0, JSON_MOST) or b"{}", name)
        except Untrusted:
            return {}
        return content if isinstance(content, dict) else {}


def began(about: Mapping[str, Any]) -> float | None:
    """When a pod's command was started, by what pod.json says, as a Unix time; None: it says nothing.

    A command that has written over pod.json cannot say that it began at another time than its supervisor's process.
    """
    started, exactly = about.get("started"), about.get("began")
    if not isinstance(started, int | float):
        return None
    near = isinstance(exactly, int | float) and abs(exactly - started) < START_TIME_SLACK_S
    return exactly if near else started


def machine_of(folder: Path) -> str | None:
    """The name of the machine elsewhere that the pod of a folder has run on; None: it ran here, or never."""
    place = LocalPod(folder)._read("pod.json").get(PLACE)
    return place if isinstance(place, str) else None


def read_part(path: Path, offset: int, most: int) -> bytes:
    """At most `most` bytes of a file from byte `offset` on; none where it is missing, or no regular file.

    A link is not followed, and a pipe that a command has put in the file's place is not waited for.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as e:
        if e.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EACCES):
            return b""
        raise
    try:
        return os.pread(fd, most, offset) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    finally:
        os.close(fd)


class ThisMachine:
    """See `pgolf.pods.Place`: every pod is a folder here."""

    def open(self, folder: Path) -> LocalPod:
        """The pod in `folder`."""
        return LocalPod(folder)
