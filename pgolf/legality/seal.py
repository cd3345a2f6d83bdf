"""Runs a Python file sealed off: no network, and no file but those allowed. Standard library only, started by path:

    python -I seal.py SPEC.json

SPEC: {"run": file, "argv": […], "read": [paths], "list": [folders], "write": [paths], "report": file, "modules": bool}.
"modules": the file may import those of its own folder, as a script does.
The seal uses all that the system offers, and its report names it: a network namespace, Landlock, and audit hooks
always. The hooks hear what Python itself opens, connects and starts; each thing not allowed is a line of the report.
"""

import ctypes
import json
import os
import runpy
import struct
import sys
from collections.abc import Callable
from typing import Any

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446  # system calls, the same on every architecture
PR_SET_NO_NEW_PRIVS = 38
READ_FILE, READ_DIR, TRUNCATE = 1 << 2, 1 << 3, 1 << 14
WRITING = (1 << 1) | sum(1 << i for i in range(4, 13))  # write, remove, make
SOCKETS = ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname")
PROCESSES = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty")


def cut_network(libc: ctypes.CDLL) -> bool:
    """An empty network namespace: root may make one, others in a user namespace of their own."""
    return any(libc.unshare(flags) == 0 for flags in (CLONE_NEWNET, CLONE_NEWUSER | CLONE_NEWNET))


def landlock(libc: ctypes.CDLL, spec: dict[str, Any]) -> bool:
    """From here on this process and its children open nothing else. False where the kernel has no Landlock."""
    abi = libc.syscall(LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    if abi < 1:
        return False
    writing = WRITING | (1 << 13 if abi >= 2 else 0) | (TRUNCATE if abi >= 3 else 0)
    handled = struct.pack("<Q", READ_FILE | READ_DIR | writing)
    rules = libc.syscall(LANDLOCK_CREATE, handled, ctypes.c_size_t(len(handled)), 0)
    rights = {"list": READ_DIR, "read": READ_FILE | READ_DIR, "write": READ_FILE | READ_DIR | writing}
    for kind, access in rights.items():
        for path in filter(os.path.exists, spec[kind]):
            fd = os.open(path, os.O_PATH)
            only_files = access if os.path.isdir(path) else access & (READ_FILE | 1 << 1 | TRUNCATE)
            libc.syscall(LANDLOCK_ADD, rules, 1, struct.pack("<Qi", only_files, fd), 0)
            os.close(fd)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    done: bool = libc.syscall(LANDLOCK_RESTRICT, rules, 0) == 0
    os.close(rules)
    return done


def inside(path: str, allowed: list[str]) -> bool:
    return any(path == a or path.startswith(a.rstrip("/") + "/") for a in allowed)


def hook(read: list[str], write: list[str], report: int, children_too: bool) -> Callable[[str, tuple[Any, ...]], None]:
    """An audit hook that writes what is not allowed to `report`, a file descriptor. It does not hear what another
    process does, so that starting one is an offence, unless the seal holds for children too."""

    def tell(event: str, what: str) -> None:
        os.write(report, (json.dumps({"event": event, "what": what}) + "\n").encode())

    def listen(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(args[0], (str, bytes)):
            path = os.path.realpath(os.fsdecode(args[0]))
            writing = args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) if isinstance(args[2], int) else 0
            if not inside(path, write) and (writing or not inside(path, read)) and os.path.exists(path):
                tell("writes" if writing else "opens", path)
        elif event in SOCKETS:
            tell("uses the network", f"{event} {args[1:]!r}")
        elif event in PROCESSES and not children_too:
            tell("starts a process", repr(args[:2]))

    return listen


def main() -> None:
    with open(sys.argv[1]) as f:
        spec = json.load(f)
    report = os.open(spec["report"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    libc = ctypes.CDLL(None, use_errno=True)
    linux = sys.platform == "linux"
    means = ["network namespace"] if linux and cut_network(libc) else []
    means += ["Landlock"] if linux and landlock(libc, spec) else []
    os.write(report, (json.dumps({"means": [*means, "audit hooks"]}) + "\n").encode())
    sys.dont_write_bytecode = True
    sys.argv = [spec["run"], *spec["argv"]]
    read, write = ([os.path.realpath(p) for p in spec[k]] for k in ("read", "write"))
    sys.addaudithook(hook(read, write, report, children_too="Landlock" in means))
    if spec["modules"]:
        sys.path.insert(0, os.path.dirname(spec["run"]))
    runpy.run_path(spec["run"], run_name="__main__")


if __name__ == "__main__":
    main()
