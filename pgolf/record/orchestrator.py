"""The process that makes a record: who it is, where its log is, and how it tells others how it goes.

    runs/<record-id>/orchestrator.json     its pid and start, and the command that goes on
    runs/<record-id>/record.log            what it has said, the last one's
    runs/<record-id>/live.json, end.json   how it goes, and how it has ended
    runs/.starting/<name>/                 the same, until the record's id is known

A pid in a file is not believed: only the process that also began at that time is meant, and only the record's lock says
that somebody works on it.
"""

import logging
import os
import re
import secrets
import shlex
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TextIO

from pydantic import TypeAdapter, ValidationError

from pgolf.errors import BadInput, RunFailed, did_you_mean
from pgolf.files import write_json
from pgolf.pods.processes import Identity, identity
from pgolf.pods.settings import settings_file
from pgolf.record.live import LiveFile, made_printable
from pgolf.record.news import News
from pgolf.record.outcome import END, AnyOutcome, End, end_with, write_end
from pgolf.record.stopping import AskedToStop, heeding
from pgolf.untrusted import Untrusted, read_json

log = logging.getLogger(__name__)
FILE, LOG, MOVED, STARTING = "orchestrator.json", "record.log", "moved.json", ".starting"
MOST_BYTES = 1 << 20
LOG_MOST = 8 << 20  # bytes of a log that are kept
ENDS_IN_S = 60.0  # a process that is told to end, before it is killed
OLD_S = 3600.0  # after which nobody looks into a starting folder any more
SECRET = re.compile(r"\w*(SECRET|PASSWORD|PASSWD|CREDENTIAL)\w*|(\w*_)?(API)?(KEY|TOKEN|PASS|AUTH)(_\d+)?", re.I)
SET = re.compile(r"(--[\w-]+=)?(\w+)=(.*)", re.S)  # a variable and its value, as a word of a command line
DETACHED = "pgolf.flows.detached"  # the module that a process of its own runs

How = Literal["detached", "foreground", "worker"]


@dataclass(frozen=True)
class Orchestrator:
    """A process that makes a record.

    `how`: `detached` from the terminal that started it, in the `foreground` of one, or below a Prefect `worker`.
    `command` are the words that start it again, in the folder `cwd`; empty where that is a worker's business. `pods`
    and `pods_file` say where the seeds run.
    """

    process: Identity
    how: How = "worker"
    command: tuple[str, ...] = ()
    pods: str = "local"
    pods_file: str | None = None
    cwd: str = ""

    @property
    def ends_with_it(self) -> bool:
        """Whether its process lives, and has nothing to do but this record."""
        return self.how != "worker" and self.process.lives


class Here:
    """What this process was started as. Unless `pgolf record` says otherwise, below a Prefect worker."""

    how: How = "worker"
    command: tuple[str, ...] = ()
    starting: Path | None = None  # the folder that its log is in until the record's is known


def as_given(words: Sequence[str]) -> tuple[str, ...]:
    """A command line fit for a file: the value of a variable that may be a secret is its name.

    >>> as_given(["pgolf", "record", "--env", "HF_TOKEN=hf_x", "--set=TRAIN_BATCH_TOKENS=4096"])
    ('pgolf', 'record', '--env', 'HF_TOKEN=$HF_TOKEN', '--set=TRAIN_BATCH_TOKENS=4096')
    """
    said = []
    for word in words:
        found = SET.fullmatch(word)
        hidden = found is not None and SECRET.fullmatch(found[2])
        said.append(f"{found[1] or ''}{found[2]}=${found[2]}" if found and hidden else word)
    return tuple(said)


def as_typed(command: Sequence[str]) -> str:
    """A command of `as_given` as a shell takes it, which puts in the value of a variable that may be a secret.

    >>> print(as_typed(["pgolf", "record", "--env", "HF_TOKEN=$HF_TOKEN", "--summary", "it's $5"]))
    pgolf record --env "HF_TOKEN=$HF_TOKEN" --summary 'it'"'"'s $5'
    """
    return " ".join(f'"{word}"' if _is_hidden(word) else shlex.quote(word) for word in command)


def typed_here(command: Sequence[str], cwd: str) -> str:
    """A command that was given in the folder `cwd`, as a shell takes it in this one: its paths may be relative."""
    line = as_typed(command)
    return f"(cd {shlex.quote(cwd)} && {line})" if cwd and Path(cwd) != Path.cwd() else line


def _is_hidden(word: str) -> bool:
    found = SET.fullmatch(word)
    return found is not None and found[3] == f"${found[2]}" and SECRET.fullmatch(found[2]) is not None


READER = TypeAdapter(Orchestrator)


def write_orchestrator(folder: Path, orchestrator: Orchestrator) -> None:
    """Put into a record's folder who works on it, for this user alone."""
    write_json(folder / FILE, asdict(orchestrator), mode=0o600)


def read_orchestrator(folder: Path) -> Orchestrator | None:
    """Who works on a record, or did last, by its folder; None: nobody has, or the file is not what pgolf writes."""
    try:
        return READER.validate_python(made_printable(read_json(folder / FILE, MOST_BYTES, folder)))
    except (Untrusted, ValidationError):
        return None


def start_folder(runs_dir: Path) -> Path:
    """A new folder for a record whose id is not known yet, for this user alone."""
    folder = runs_dir.resolve() / STARTING / f"starting-{secrets.token_hex(3)}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    return folder


def move_to(starting: Path, folder: Path) -> None:
    """Say in a starting folder which record it was."""
    write_json(starting / MOVED, {"record": folder.name})


def moved_to(starting: Path) -> Path | None:
    """The folder of the record that a starting folder was for; None: not known yet."""
    if starting.parent.name != STARTING:
        return None
    with suppress(Untrusted):
        content = read_json(starting / MOVED, MOST_BYTES, starting)
        name = content.get("record") if isinstance(content, dict) else None
        if isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            return starting.parents[1] / name
    return None


def records_starting(runs_dir: Path) -> list[Path]:
    """The folders of records that have no id yet; those whose process is long gone are removed."""
    found = []
    for folder in sorted((runs_dir / STARTING).glob("starting-*")):
        orchestrator = read_orchestrator(folder)
        if moved_to(folder) is None and orchestrator and _is_detached(orchestrator.process):
            found.append(folder)
        elif _is_old(folder) and not (orchestrator and orchestrator.process.lives):
            shutil.rmtree(folder, ignore_errors=True)
    return found


def _is_old(folder: Path) -> bool:
    """Whether nobody can be about to read what a folder says."""
    with suppress(OSError):
        return time.time() - folder.stat().st_mtime > OLD_S
    return False


def end_starting(starting: Path) -> bool:
    """End the process of a record that has no id yet: nothing of it runs but that. Whether there was one."""
    who = read_orchestrator(starting)
    if who is None or not _is_detached(who.process):
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not who.process.lives:  # its pid may be another's by now
            break
        with suppress(ProcessLookupError):
            os.kill(who.process.pid, number)
        deadline = time.monotonic() + ENDS_IN_S
        while who.process.lives and time.monotonic() < deadline:
            time.sleep(0.1)
    return True


def _is_detached(process: Identity) -> bool:
    """Whether a process makes a record: somebody else's file may name any other one, with its start."""
    return process.command[-1:] == [DETACHED]


def records_in(runs_dir: Path) -> list[Path]:
    """The folders of the records in `runs_dir`, the latest last."""
    found = [p for p in runs_dir.glob("*") if any((p / name).is_file() for name in ("plan.json", "live.json"))]
    return sorted(found, key=lambda p: (p / "plan.json").stat().st_mtime if (p / "plan.json").exists() else 0)


def find_record(named: str, runs_dir: Path) -> Path:
    """The folder of a record that is named by its id or its folder; BadInput if there is no such record."""
    for folder in (runs_dir / named, runs_dir / STARTING / named, Path(named)):
        if any((folder / name).is_file() for name in ("plan.json", "live.json", FILE)):
            return moved_to(folder.resolve()) or folder.resolve()
    known = [p.name for p in [*records_in(runs_dir), *records_starting(runs_dir)]]
    if not known:
        raise BadInput(f"{named}: no record; there is none in {runs_dir}")
    raise BadInput(f"{named}: no record in {runs_dir}{did_you_mean(named, known)}; `pgolf status` lists them")


class BoundedLog(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes lines of a record's log, up to LOG_MOST bytes. What is not said to a person at once is indented: where a
    run stands, every twenty seconds."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self.size = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, unless there were too many."""
        if self.size <= LOG_MOST:
            self.size += len(self.format(record)) + 1
            super().emit(record)
            if self.size > LOG_MOST:
                self.stream.write("the log is full, and goes on nowhere\n")

    def format(self, record: logging.LogRecord) -> str:
        """Time and message."""
        text = logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S").format(record)
        return f"{text[:8]}  {text[8:]}" if record.name == "pgolf.record.board" else text


@contextmanager
def attending(
    folder: Path, track: str, name: str, pods: str = "local", pods_file: Path | None = None, chat: bool = True
) -> Iterator["Attending"]:
    """Tell others of the work on the record or sweep in `folder`, whose lock this process holds, and heed what they ask
    for. `chat`: whether a chat is told, too, which is for records.

    Raises
    ------
    AskedToStop : `pgolf stop` asked for it.
    """
    (folder / END).unlink(missing_ok=True)
    file = settings_file(pods_file) if pods != "local" else None  # `pgolf stop` is given in another folder, too
    named = str(file.absolute()) if file else None
    write_orchestrator(folder, Orchestrator(identity(), Here.how, Here.command, pods, named, os.getcwd()))
    handler = _take_log(folder)
    attending = Attending(LiveFile(folder, folder.name, track, name), chat)
    attending.live.show("starting")
    try:
        with attending.live.beating(), heeding(folder) as attending.asked:
            yield attending
    except BaseException as e:
        attending.failed(e)
        raise
    finally:
        attending.news.close()
        if handler:
            logging.getLogger("pgolf").removeHandler(handler)
            handler.stream.close()


def _take_log(folder: Path) -> BoundedLog | None:
    """Have this process's log in the record's folder: moved there, where it is a file already, else as a copy."""
    path = folder / LOG
    if Here.starting:
        os.replace(Here.starting / LOG, path)
        move_to(Here.starting, folder)
        Here.starting = None
        return None
    path.unlink(missing_ok=True)
    handler = BoundedLog(os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w", encoding="utf-8"))
    logging.getLogger("pgolf").addHandler(handler)
    return handler


class Attending:
    """The work on a record as others see it."""

    def __init__(self, live: LiveFile, chat: bool = True) -> None:
        self.live, self.asked = live, threading.Event()
        self.news = News(live.folder, live.say)
        self.news.on = self.news.on and chat
        self.leaves = False  # whether its runs go on without this process

    def done(self, outcome: AnyOutcome, said: str) -> None:
        """Tell of the outcome, in a line and whole."""
        self._end(end_with(outcome))
        self.live.end("finished", said)

    def failed(self, error: BaseException) -> None:
        """Tell why there is no outcome."""
        if isinstance(error, AskedToStop):
            self._end(End(exit_code=1, error=str(error)))
            self.news.ended("stopped, by `pgolf stop`")
            self.live.end("stopped", "all runs are ended, by `pgolf stop`")
        elif isinstance(error, Exception):
            said = str(error) if isinstance(error, BadInput | RunFailed | OSError) else repr(error)
            self._end(End(exit_code=2 if isinstance(error, BadInput) else 1, error=said))
            self.news.ended(f"failed: {said}")
            self.live.end("failed", said)
        else:
            how = "left: its runs go on" if self.leaves else "stopped: its runs are ended"
            self._end(End(exit_code=1, error=f"{how}; start the same command again to go on"))
            self.news.ended(f"told to end; {how}")
            self.live.end("left" if self.leaves else "stopped", f"the process that made it was told to end; {how}")

    def _end(self, end: End) -> None:
        try:
            write_end(self.live.folder, end)
        except (OSError, ValueError) as e:
            log.warning("%s: not written: %s", self.live.folder / END, e)
