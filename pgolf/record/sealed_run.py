"""Runs a command sealed off, to its end or until nobody wants it any more: python -I sealed_run.py SPEC.json

SPEC: {"command": [words], "read": [paths], "list": [folders], "write": [paths], "seal": path of legality/seal.py,
"lock": file}. The current folder is the only one that it may write to, beside "write". Standard library only, started
by path.

Namespaces of its own take network, processes, sockets and shared memory from the command, Landlock all files but those
named; what it starts is sealed, too, and ends with it. While a process holds the lock it is wanted; without a holder it
is ended, so that a killed pgolf leaves nothing running.
"""

import ctypes
import fcntl
import importlib.util
import json
import os
import signal
import socket
import stat
import struct
import sys
import time
from contextlib import suppress
from types import FrameType, ModuleType
from typing import Any, NoReturn

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 1 << 1, 1 << 2, 1 << 12, 1 << 14, 1 << 18
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
CAPABILITY_VERSION = 0x20080522
EMPTY = ("/run", "/tmp", "/var/tmp", "/dev/shm")  # sockets and shared memory of others; each becomes an empty folder
POLL_S = 0.2
CANNOT = 97  # exit code where the seal fails: no program has run


def check(result: int, what: str) -> None:
    """End with CANNOT and one line if a system call has failed."""
    if result != 0:
        cannot(f"{what}: {os.strerror(ctypes.get_errno())}")


def cannot(why: str) -> NoReturn:
    print(f"cannot be sealed off: {why}", file=sys.stderr, flush=True)
    os._exit(CANNOT)


def separate(libc: ctypes.CDLL) -> None:
    """Namespaces of this process's own: root may make them, others within a user namespace of their own."""
    uid, gid = os.getuid(), os.getgid()
    own = NEWNS | NEWUTS | NEWIPC | NEWPID | NEWNET
    if libc.unshare(own) == 0:
        return
    check(libc.unshare(NEWUSER | own), "namespaces")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as f:
            f.write(text)


def sockets() -> list[str]:
    """Files of the sockets that others listen at here: an agent with keys, a service that runs as root."""
    with open("/proc/net/unix", errors="surrogateescape") as f:
        paths = [f"/{line.rstrip(chr(10)).partition(' /')[2]}" for line in f if " /" in line]  # the last column
    return [path for path in dict.fromkeys(paths) if is_socket(path)]


def is_socket(path: str) -> bool:
    """Whether a path is that of a socket here: in another container it may be one."""
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def furnish(libc: ctypes.CDLL, spec: dict[str, Any], hidden: list[str]) -> list[str]:
    """Loopback, a host's name that leads to it, and empty folders; those of them that can be written to. Nothing is
    left of the files that are `hidden`."""
    libc.sethostname(b"localhost", 9)
    with socket.socket() as s:
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
    check(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "mounts")
    kept = [os.path.realpath(path) for kind in ("read", "list", "write") for path in spec[kind]]
    kept += [path for path in (os.getcwd(), sys.executable) if path not in kept]
    made = []
    for folder in EMPTY:
        if os.path.isdir(folder) and not any(f"{path}/".startswith(f"{folder}/") for path in kept):
            check(libc.mount(b"tmpfs", folder.encode(), b"tmpfs", MS_NOSUID | MS_NODEV, b"mode=1777"), folder)
            made.append(folder)
    for path in filter(is_socket, hidden):
        check(libc.mount(b"/dev/null", os.fsencode(path), None, MS_BIND, None), path)
    libc.mount(b"proc", b"/proc", b"proc", MS_NOSUID | MS_NODEV, None)  # not everywhere: else others' pids are seen
    return made


def drop_capabilities(libc: ctypes.CDLL) -> None:
    """Root without its powers is a user like any other, and nothing that it starts gets them back."""
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "privileges")
    header, none = struct.pack("<Ii", CAPABILITY_VERSION, 0), bytes(24)
    check(libc.capset(header, none), "capabilities")


def load_seal(path: str) -> ModuleType:
    """legality/seal.py, which stands alone, too."""
    spec = importlib.util.spec_from_file_location("seal", path)
    if spec is None or spec.loader is None:
        cannot(f"no {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_inside(libc: ctypes.CDLL, spec: dict[str, Any], hidden: list[str]) -> NoReturn:
    """Seal this process, the first of its namespace, and run the command; when it ends, all that it started does."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    try:
        seal = load_seal(spec["seal"])
        own = {name: os.path.join(os.getcwd(), folder) for name, folder in (("HOME", ".home"), ("TMPDIR", ".tmp"))}
        for folder in own.values():
            os.makedirs(folder, exist_ok=True)
        spec["write"] = [*spec["write"], os.getcwd(), *furnish(libc, spec, hidden)]
        if not seal.landlock(libc, spec):
            cannot("no Landlock in this kernel")
        drop_capabilities(libc)
    except OSError as e:
        cannot(str(e))
    child = os.fork()
    if child == 0:
        try:
            os.execvpe(spec["command"][0], spec["command"], {**os.environ, **own})
        except OSError as e:
            print(f"cannot run {spec['command'][0]}: {e.strerror}", file=sys.stderr, flush=True)
            os._exit(127)
    pass_on(child)
    while True:
        try:
            pid, status = os.wait()
        except InterruptedError:
            continue
        if pid == child:
            os._exit(code_of(status))


def pass_on(child: int) -> None:
    """Hand signals that ask this process to end on to its child."""

    def tell(number: int, _frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            os.kill(child, number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, tell)


def code_of(status: int) -> int:
    """An exit code, or 128 and the signal, as a shell has it."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def is_wanted(lock: int) -> bool:
    """Whether a process holds the lock."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(lock, fcntl.LOCK_UN)
    return False


def main() -> None:
    with open(sys.argv[1]) as f:
        spec = json.load(f)
    lock = os.open(spec["lock"], os.O_RDWR | os.O_CREAT, 0o644)
    libc = ctypes.CDLL(None, use_errno=True)
    supervisor = os.getppid()
    try:
        hidden = sockets()
        separate(libc)
    except OSError as e:
        cannot(str(e))
    child = os.fork()
    if child == 0:
        os.close(lock)
        run_inside(libc, spec, hidden)
    pass_on(child)
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            sys.exit(code_of(status))
        if not is_wanted(lock):
            os.kill(supervisor, signal.SIGTERM)  # which writes down that it was ended, and hands it on to here
            os.kill(child, signal.SIGKILL)
        time.sleep(POLL_S)


if __name__ == "__main__":
    main()
