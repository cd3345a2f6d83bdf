"""The supervisor of a pod elsewhere: one file that needs nothing but the standard library.

    python3 agent.py start FOLDER < {"command": […], "env": {…}}     idempotent: repeat it if the reply is lost
    python3 agent.py hashes FOLDER < ["name", …]                     of these files; a missing one is left out
    python3 agent.py status FOLDER | kill FOLDER | sizes FOLDER | fetched FOLDER

It is copied to the pod and answers in JSON. A command leaves the same files in its folder as under `supervisor.py` on
this machine: pod.json, train.log, exit.json. Every process of a command carries the folder in its environment, and
`kill` finds it by that mark; pid, start time in clock ticks and the boot that these count from identify the supervisor.
"""

import fcntl
import glob
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import FrameType
from typing import Any

MARK = "PGOLF_POD"
STATE = os.path.join(os.path.expanduser("~"), ".pgolf")  # shared with watchdog.sh
INHERITED = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")
START_TIMEOUT_S = 60.0
GRACE_S = 10.0  # between asking a process to end and ending it
RESERVE_BYTES = 65536  # kept, so that exit.json can be written on a full disk
FULL_DISK_BYTES = 1 << 20  # less free than this is a full disk
HASHED_AT_ONCE = 8
LISTED, LISTED_NAME_BYTES = 10_000, 1024  # files that are named in an answer, and how long a name may be
ENDS = ("train.log", "supervisor.err", "pod.json", "exit.json", "events.jsonl")  # with logs and artifacts: see below
ENDINGS = (".ptz", ".pt", ".bin", ".txt", ".log")


def write_json(path: str, value: Any) -> None:
    """Replace a file: the old one or the new one, never half of either."""
    temporary = path + ".new"
    with open(temporary, "w") as f:
        json.dump(value, f)
        f.flush()
        os.fsync(f.fileno())
    os.replace(temporary, path)


def read_json(path: str) -> dict[str, Any]:
    """A JSON file, or {} where there is none, or the command has written another thing in its place."""
    try:
        with open(path) as f:
            return dict(json.load(f))
    except (FileNotFoundError, ValueError, TypeError):
        return {}


def identity(pid: int) -> dict[str, Any] | None:
    """Identify a live process: pid, start time in ticks since boot, and the boot; None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            fields = f.read().rsplit(b")", 1)[1].split()
        with open("/proc/sys/kernel/random/boot_id") as f:
            boot = f.read().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == b"Z" else {"pid": pid, "start_ticks": int(fields[19]), "boot": boot}


def supervisor(folder: str) -> int | None:
    """pid of the live supervisor that pod.json names, or None."""
    written = read_json(os.path.join(folder, "pod.json"))
    live = identity(written["pid"]) if "pid" in written else None
    return live["pid"] if live and all(written.get(k) == v for k, v in live.items()) else None


def marked(folder: str) -> list[int]:
    """pids of the live processes that carry this folder's mark."""
    wanted, found = f"{MARK}={folder}".encode(), []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and int(name) != os.getpid() and identity(int(name)):
                with open(f"/proc/{name}/environ", "rb") as f:
                    if wanted in f.read().split(b"\0"):
                        found.append(int(name))
        except OSError:  # gone meanwhile, or somebody else's
            continue
    return found


def status(folder: str) -> dict[str, Any]:
    """Where the command of a folder stands: the keys of `pgolf.pods.Status`."""
    alive = supervisor(folder)  # asked first: it writes exit.json before it goes
    pod, ending = read_json(os.path.join(folder, "pod.json")), read_json(os.path.join(folder, "exit.json"))
    answer = {"state": "fresh", "started": pod.get("started")}
    if alive:  # the command itself may have written an exit.json
        answer["state"] = "running"
    elif ending.keys() >= {"exit_code", "signals", "ended", "disk_free"}:
        full = ending["exit_code"] != 0 and ending["disk_free"] < FULL_DISK_BYTES
        answer.update(state="ended", exit_code=ending["exit_code"], ended=ending["ended"])
        answer.update(interrupted=bool(ending["signals"]), disk_full=full)
    elif pod:
        answer["state"] = "lost"
    return answer


def start(folder: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Start the command, unless this folder has started one before; return its status."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(os.path.join(folder, "pod.json")) and not marked(folder):
            inherited = {k: os.environ[k] for k in INHERITED if k in os.environ}
            env = dict(inherited, PYTHONUNBUFFERED="1", **spec["env"])
            env[MARK] = folder
            with open(os.path.join(folder, "supervisor.err"), "ab") as err:
                child = subprocess.Popen(
                    [sys.executable, os.path.abspath(__file__), "supervise", folder],
                    cwd=folder,
                    env=env,
                    stdin=subprocess.PIPE,
                    stdout=err,
                    stderr=err,
                    start_new_session=True,
                )
            with child.stdin as pipe:  # type: ignore[union-attr]
                pipe.write(json.dumps(spec["command"]).encode())
        deadline = time.monotonic() + START_TIMEOUT_S
        while not os.path.exists(os.path.join(folder, "pod.json")):
            if time.monotonic() > deadline or not marked(folder):
                sys.exit(f"{folder}: the supervisor does not start; see supervisor.err there")
            time.sleep(0.02)
    return status(folder)


def run(command: list[str]) -> dict[str, Any]:
    """Run `command` to its end in the current folder, its output in train.log; return the content of exit.json."""
    with open(".reserve", "wb") as f:
        f.write(os.urandom(RESERVE_BYTES))
    signals: list[int] = []
    with open("train.log", "ab") as log:
        try:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        except OSError as e:
            log.write(f"cannot run {command[0]}: {e.strerror}\n".encode())
            exit_code = 127  # the shell's code for a command that could not be started
        else:

            def pass_on(number: int, _frame: FrameType | None) -> None:
                signals.append(number)
                child.send_signal(number)

            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, pass_on)
            exit_code = child.wait()
    disk = os.statvfs(".")
    free = disk.f_bavail * disk.f_frsize
    os.unlink(".reserve")
    keep(".")
    return {"exit_code": exit_code, "signals": signals, "ended": time.time(), "disk_free": free}


def keep(folder: str) -> None:
    """Bring the files that tell how a run ended to the disk: once exit.json says so, a power cut must not take them."""
    for path in [*glob.glob(os.path.join(folder, "*")), *glob.glob(os.path.join(folder, "logs", "*"))]:
        if ends_a_run(os.path.relpath(path, folder)):
            with suppress(OSError):  # a folder, a link, or gone meanwhile
                fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe would have it wait
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)


def supervise(folder: str, command: list[str]) -> None:
    """Run `command` to its end; write pod.json, train.log and exit.json into `folder`."""
    about = {**(identity(os.getpid()) or {}), "started": time.time(), "command": command}
    write_json("pod.json", about)
    ending = run(command)
    write_json("pod.json", about)  # the command may have written over it
    os.makedirs(os.path.join(STATE, "unfetched"), exist_ok=True)
    with open(unfetched(folder), "w"):  # before exit.json: a pod whose end is seen has its fetch grace
        pass
    write_json("exit.json", ending)


def unfetched(folder: str) -> str:
    """The file that tells the watchdog that this folder waits to be fetched."""
    return os.path.join(STATE, "unfetched", hashlib.sha256(folder.encode()).hexdigest()[:16])


def kill(folder: str) -> None:
    """End every process of a folder: SIGTERM first, then SIGKILL. Those without its mark are found by who made them.

    The supervisor hands SIGTERM on to the command, and ends last, so that it can write how the command ended.
    """
    alive = supervisor(folder)
    family = {pid: identity(pid) for pid in (descendants(alive) if alive else [])}  # some may be of another environment

    def left() -> set[int]:
        return {*marked(folder), *(pid for pid, who in family.items() if who and identity(pid) == who)}

    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in left():
            spared = pid == alive if number == signal.SIGKILL else alive and parent(pid) == alive
            if not spared:
                end(pid, number)
        deadline = time.monotonic() + GRACE_S
        while left() and time.monotonic() < deadline:
            time.sleep(0.05)
    for pid in left():
        end(pid, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """pids of the processes that a process has made, and of those that these have."""
    parents = {int(name): parent(int(name)) for name in os.listdir("/proc") if name.isdigit()}
    found = [pid]
    for one in found:  # which grows
        found += [child for child, its in parents.items() if its == one]
    return found[1:]


def parent(pid: int) -> int | None:
    """The parent of a process; None once it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            return int(f.read().rsplit(b")", 1)[1].split()[1])
    except OSError:
        return None


def end(pid: int, number: int) -> None:
    """Send a signal to a process that may be gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def ends_a_run(name: str) -> bool:
    """Whether a file is one that tells how a run ended: the supervisor's, a log, an artifact.

    >>> [ends_a_run(name) for name in ("train.log", "final_model.int6.ptz", "logs/seed1.txt", "tb/a.bin", "shard.npy")]
    [True, True, True, False, False]
    """
    place = name.removeprefix("logs/")
    return name in ENDS or ("/" not in place and place.endswith(ENDINGS))


def sizes(folder: str) -> dict[str, Any]:
    """Bytes by relative path of the files in a folder, at most LISTED of them, and how many `more` there are.

    Hidden files, links and pipes are left out. Files that end a run are named first.
    """
    found, more = {}, 0
    for at, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = os.path.join(at, name)
            try:
                known = os.lstat(path)
            except OSError:  # gone meanwhile
                continue
            if name.startswith(".") or not stat.S_ISREG(known.st_mode):
                continue
            name = os.path.relpath(path, folder)
            if len(os.fsencode(name)) > LISTED_NAME_BYTES:
                more += 1
            else:
                found[name] = known.st_size
    first = sorted(found, key=lambda name: (not ends_a_run(name), name))[:LISTED]
    return {"files": {name: found[name] for name in first}, "more": more + len(found) - len(first)}


def hashes(folder: str, names: list[str]) -> dict[str, Any]:
    """[SHA-256, bytes] by name of these files of a folder; what is missing, unreadable or no plain file is left out."""

    def of(name: str) -> list[Any] | None:
        path = os.path.join(folder, name)
        digest, size = hashlib.sha256(), 0
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            if not stat.S_ISREG(os.lstat(path).st_mode):
                return None
            with open(path, "rb") as f:
                while block := f.read(1 << 20):
                    digest.update(block)
                    size += len(block)
            return [digest.hexdigest(), size]
        return None

    with ThreadPoolExecutor(HASHED_AT_ONCE) as pool:  # GPUs wait while a dataset is looked at
        found = dict(zip(names, pool.map(of, names), strict=True))
    return {name: known for name, known in found.items() if known}


def main(action: str, folder: str) -> None:
    """Do one action on one folder; print the answer as JSON."""
    folder = os.path.realpath(folder)
    if action == "supervise":
        supervise(folder, json.load(sys.stdin))
        return
    answer: dict[str, Any] | None = None
    if action == "start":
        answer = start(folder, json.load(sys.stdin))
    elif action == "kill":
        kill(folder)
    elif action == "hashes":
        answer = hashes(folder, json.load(sys.stdin))
    elif action == "sizes":
        answer = sizes(folder)
    elif action == "fetched":
        if os.path.exists(unfetched(folder)):
            os.unlink(unfetched(folder))
    else:
        answer = status(folder)
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
