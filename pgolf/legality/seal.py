"""Seals a process by what it is allowed, with what the kernel has. Standard library only, and it stands alone.

    python -I seal.py SPEC.json        runs the Python file that the spec names, sealed
    enter(spec)                        seals the calling process, which has one thread

The sealed process has network, processes, sockets and shared memory of its own, and a root of its own that holds only
what is named: libraries bound read-only, copies of the files that are judged, an empty /tmp, a made-up /etc, a few
devices. Where the kernel does not grant that, Landlock and the filter of system calls keep what they can; `left_open`
says what is missing.

A spec is a dictionary:

    read    files and folders that may be read, at their own paths
    write   folders and devices that may be written to, too; what is written stays
    list    folders whose names may be read, where there is no root of its own
    own     files and folders that are judged, and may be read
    copies  a folder laid out like "/" with copies of those in "own": what is seen instead of them, if there is a root
    report  a file descriptor, or the path of a file, for what Python tried; see tried.offences
    keep    file descriptors that stay open, beside 0, 1, 2 and the report
    environment  the only variables that are left, beside HOME and TMPDIR
    trains  true: loopback is up, TCP may be used, and disks may be asked how full they are
    off     means that are not to be used, as the kernel of another machine may refuse them

and of a program: run, argv, and modules (true: the file may import those of its own folder, as a script does).
"""

import ctypes
import fcntl
import glob
import importlib.util
import json
import os
import resource
import runpy
import select
import shutil
import signal
import socket
import struct
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any, NoReturn


def beside(name: str) -> Any:
    """The module in the file beside this one, however this one was started."""
    spec = importlib.util.spec_from_file_location(
        f"pgolf_{name}", os.path.join(os.path.dirname(__file__), f"{name}.py")
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


root, syscalls, tried = beside("root"), beside("syscalls"), beside("tried")

NEWUSER = 0x10000000
NAMESPACES = {
    "network namespace": 0x40000000,
    "IPC namespace": 0x8000000,
    "UTS namespace": 0x4000000,
    "PID namespace": 0x20000000,
    "mount namespace": 0x20000,
}
ROOT, OWN_PROC = "root of its own", "/proc of its own"
# what may be read of a /proc that shows other processes
PROC = ["/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version", "/proc/filesystems", "/proc/sys"]
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
CAPABILITY_VERSION = 0x20080522
CANNOT = 97  # exit code where the seal fails: nothing of the stranger's has run
# what a missing means leaves open, and the sets of means of which each closes it
OPEN: tuple[tuple[str, tuple[set[str], ...]], ...] = (
    ("the network can be used", ({"network namespace"}, {"seccomp"})),
    ("files that are not allowed can be read", ({ROOT}, {"Landlock"})),
    ("times, owners and links' targets of all files can be read", ({ROOT},)),
    ("extended attributes of all files can be read", ({ROOT}, {"seccomp"})),
    ("others' sockets can be used by their paths", ({ROOT}, {"seccomp"})),
    ("others' abstract sockets can be used", ({"network namespace"}, {"seccomp"}, {"Landlock's scopes"})),
    ("others' shared memory that has a number can be used", ({"IPC namespace"}, {"seccomp"})),
    ("others' shared memory that has a name can be used", ({ROOT},)),
    ("which other processes run can be seen", ({"PID namespace", OWN_PROC},)),
    ("other processes can be sent signals", ({"PID namespace"}, {"Landlock's scopes"})),
    ("keys of the kernel can be read", ({"seccomp"},)),
)


def left_open(means: Collection[str]) -> list[str]:
    """What the stranger can reach for lack of a means, each as a sentence without a full stop."""
    return [what for what, ways in OPEN if not any(way <= set(means) for way in ways)]


def enter(spec: dict[str, Any], wait: Callable[[int, int], NoReturn] | None = None) -> list[str]:
    """Seal the calling process, which has one thread, and return the means in force.

    Returns in a child: the caller itself waits outside for the sealed process and ends as that one ended, by the same
    exit code or signal (`wait`, called with the child's pid and a file descriptor to hold, may wait in another way).
    File descriptors that the spec keeps stay open. HOME and TMPDIR are an empty folder that nobody sees later. A step
    that fails where the kernel had seemed to grant it ends the process with exit code CANNOT and one line on stderr.
    """
    spec = {"read": [], "write": [], "list": [], "own": [], **spec}
    report = spec.get("report") or os.devnull
    if not isinstance(report, int):
        report = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    shut([0, 1, 2, report, *spec.get("keep", ())])
    allowed = {kind: [*map(os.path.realpath, spec[kind]), *spec[kind]] for kind in ("own", "read", "write")}
    if "environment" in spec:
        forget_environment()
    means: list[str] = []
    scratch = spec.get("environment", {}).get("TMPDIR")
    if sys.platform == "linux":
        try:
            means, scratch = _seal(ctypes.CDLL(None, use_errno=True), spec, wait)
        except OSError as e:
            cannot(str(e))
    scratch = scratch or tempfile.gettempdir()
    os.environ.update({"HOME": scratch, "TMPDIR": scratch, **spec.get("environment", {})})
    tempfile.tempdir = None
    own = [*allowed["write"], scratch, *(root.SCRATCH if ROOT in means else ())]
    children_too = not {ROOT, "Landlock"}.isdisjoint(means)
    read = None if ROOT in means else [*allowed["read"], *allowed["own"], *own]
    sys.addaudithook(tried.hook(read, own, report, children_too))
    return [*means, "audit hooks"]


def _seal(
    libc: ctypes.CDLL, spec: dict[str, Any], wait: Callable[[int, int], NoReturn] | None
) -> tuple[list[str], str]:
    """(the means in force, the folder for what the process writes), in the sealed process."""
    off, folder, sockets = set(spec.get("off", ())), os.getcwd(), root.sockets()
    means = separate(libc, off)
    scratch = spec.get("environment", {}).get("TMPDIR")
    temporary = None if scratch else tempfile.mkdtemp(prefix="pgolf-sealed-")  # for where there is no root
    fork_inside(libc, "PID namespace" in means, wait or partial(wait_for, temporary=temporary))
    if "UTS namespace" in means:
        libc.sethostname(b"localhost", 9)
    if "network namespace" in means and spec.get("trains"):
        with socket.socket() as s:
            fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
    if "mount namespace" in means and ROOT not in off:
        means += make_root(libc, spec, means, sockets)
    scratch = scratch or ("/tmp" if ROOT in means else temporary or "/tmp")
    os.chdir(folder if os.path.isdir(folder) else scratch)
    return [*means, *give_up(libc, spec, means, scratch)], scratch


def separate(libc: ctypes.CDLL, off: Collection[str]) -> list[str]:
    """Namespaces of this process's own: within a user namespace, which anybody may make, or else as root may."""
    wanted = {name: flag for name, flag in NAMESPACES.items() if name not in off}
    uid, gid = os.getuid(), os.getgid()
    user = 0 if "user namespace" in off else NEWUSER
    if user and libc.unshare(user | sum(wanted.values())) == 0:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with suppress(OSError), open(f"/proc/self/{name}", "w") as f:  # without it, owners of files are unknown
                f.write(text)
        return ["user namespace", *wanted]
    if libc.unshare(sum(wanted.values())) == 0:
        return [*wanted]
    return [name for name, flag in wanted.items() if libc.unshare(flag) == 0]


def fork_inside(libc: ctypes.CDLL, own_processes: bool, wait: Callable[[int, int], NoReturn]) -> None:
    """Go on in a child, which ends with its parent; the parent waits for it.

    A namespace of processes lives as long as its first process. That is not the child, which could not end by a signal
    of its own: it is one that reads from a pipe until the parent, who holds the other end, is gone.
    """
    read, write = os.pipe()
    os.chdir("/")  # no process is left in a folder of outside
    if own_processes:
        start_first(read)
    child = os.fork()
    if child:
        os.close(read)
        wait(child, write)
    os.close(write)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    gone = select.poll()
    gone.register(read, 0)
    if gone.poll(0):  # the parent ended before that
        os._exit(CANNOT)
    os.close(read)


def start_first(pipe: int) -> None:
    """Start a process that ends when nobody holds the other end of a pipe: a small one, since a fork of a large one
    takes milliseconds."""
    streams = [
        (os.POSIX_SPAWN_DUP2, pipe, 0),
        *((os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_WRONLY, 0) for fd in (1, 2)),
    ]
    for cat in ("/usr/bin/cat", "/bin/cat"):
        if os.access(cat, os.X_OK):
            os.posix_spawn(cat, ["cat"], os.environ, file_actions=streams)
            return
    if os.fork() == 0:
        shut([pipe])
        os.read(pipe, 1)
        os._exit(0)


def make_root(libc: ctypes.CDLL, spec: dict[str, Any], means: list[str], sockets: list[str]) -> list[str]:
    """Enter a root of its own; the means that this adds, none where the kernel refuses it."""
    made = None
    try:
        made = root.Root(libc, spec)
        own_proc = made.make("PID namespace" in means and OWN_PROC not in spec.get("off", ()))
    except OSError:
        if made and made.entered:
            raise  # no way leads back
        if made:
            made.undo()
        return []
    made.hide(sockets)
    return [ROOT, OWN_PROC] if own_proc else [ROOT]


def give_up(libc: ctypes.CDLL, spec: dict[str, Any], means: list[str], scratch: str) -> list[str]:
    """Give up capabilities, files and system calls for good; the means that this adds."""
    off, trains = set(spec.get("off", ())), bool(spec.get("trains"))
    added = []
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    rules = {"list": spec["list"], "read": [*spec["read"], *spec["own"]], "write": [*spec["write"]]}
    rules["write"] += [scratch, "/dev/null"]
    if ROOT in means:
        tops = [entry.path for entry in os.scandir("/") if entry.name != "proc"]
        rules = {"list": ["/"], "read": tops, "write": [*rules["write"], *root.SCRATCH, "/dev/full"]}
        rules["write"] += glob.glob("/dev/nvidia*")
    else:
        rules["read"] += [*tried.HARMLESS[2:], *(f"/etc/{name}" for name in tried.ETC)]
        rules["write"].append("/dev/shm")  # which several processes of one evaluator need
    rules["read"] += ["/proc"] if trains or OWN_PROC in means else PROC
    if "Landlock" not in off:
        added += syscalls.landlock(libc, rules, tcp=trains)
    header, none = struct.pack("<Ii", CAPABILITY_VERSION, 0), bytes(24)
    added += ["no capabilities"] if libc.capset(header, none) == 0 else []
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # else its own /proc is not its own after the change of capabilities
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    families = [syscalls.AF_INET, syscalls.AF_INET6, syscalls.AF_NETLINK] if "network namespace" in means else []
    families += [syscalls.AF_UNIX] if families and ROOT in means else []
    missing = NAMESPACES.keys() - means
    if "seccomp" not in off and syscalls.refuse_calls(libc, families, missing, trains):
        added.append("seccomp")
    return added


def wait_for(child: int, held: int, temporary: str | None = None) -> NoReturn:
    """Wait for a child and end as it ended; a temporary folder is removed. `held` keeps the child's namespace alive."""
    shut([held])
    pass_on(child)
    _, status = os.waitpid(child, 0)
    if temporary:
        shutil.rmtree(temporary, ignore_errors=True)
    if os.WIFSIGNALED(status):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with suppress(OSError):  # the signals that nobody can handle
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
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


def shut(keep: Iterable[int]) -> None:
    """Close all file descriptors but these."""
    last = -1
    for fd in sorted(set(keep)):
        if last + 1 < fd:  # of an empty range, closerange(0, 0), Python closes everything
            os.closerange(last + 1, fd)
        last = fd
    os.closerange(last + 1, 1 << 20)


def forget_environment() -> None:
    """Remove all variables, also from the process's memory, where /proc shows them."""
    os.environ.clear()
    with suppress(OSError, ValueError), open("/proc/self/stat", "rb") as f:
        fields = f.read().rpartition(b") ")[2].split()
        start, end = int(fields[47]), int(fields[48])
        if start:
            ctypes.memset(start, 0, end - start)


def cannot(why: str) -> NoReturn:
    os.write(2, f"cannot be sealed off: {why}\n".encode())
    os._exit(CANNOT)


def main() -> None:
    with open(sys.argv[1]) as f:
        spec = json.load(f)
    means = enter(spec)
    os.write(spec["report"], (json.dumps({"means": means}) + "\n").encode())
    sys.dont_write_bytecode = True
    sys.argv = [spec["run"], *spec["argv"]]
    if spec["modules"]:
        sys.path.insert(0, os.path.dirname(spec["run"]))
    runpy.run_path(spec["run"], run_name="__main__")


if __name__ == "__main__":
    main()
