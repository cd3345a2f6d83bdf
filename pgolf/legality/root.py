"""A root folder that holds only what a sealed process may see, made of mounts. Standard library only, and stands alone.

Needs a mount namespace of its own. Nothing outside changes but for empty folders and files in a spec's "copies", at
which other things are mounted.
"""

import ctypes
import glob
import os
import stat
import struct
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 1 << 12, 1 << 14, 1 << 18, 2
MOUNT_SETATTR, PIVOT_ROOT = 442, {"x86_64": 155, "aarch64": 41}
RECURSIVE, HERE = 0x8000, -100
DEVICES = ("null", "zero", "random", "urandom", "full")
SCRATCH = ("/tmp", "/var/tmp", "/dev/shm")  # empty, and of this process alone
SCRATCH_SIZE = "20%"  # of the memory, each
PLACES = {"proc", "dev", "sys", "etc"}  # no root is mounted there
# of /proc: keys and the kernel's memory; and how busy the machine is, which a program that trains may see
SECRET = ("keys", "key-users", "kmsg", "kcore", "kallsyms", "sysrq-trigger", "kpagecount", "kpageflags", "kpagecgroup")
BUSY = (
    *("locks", "loadavg", "pressure", "vmstat", "diskstats", "interrupts", "softirqs", "schedstat", "buddyinfo"),
    *("pagetypeinfo", "zoneinfo", "slabinfo", "swaps", "partitions", "timer_list", "latency_stats", "modules"),
    *("fs", "bus", "scsi", "acpi", "irq", "asound", "dynamic_debug", "sys/fs", "sys/dev", "sys/debug", "config.gz"),
)


class Root:
    """The new root while it is made, at `base`; every failure is an OSError, after which `undo` leaves no trace."""

    def __init__(self, libc: ctypes.CDLL, spec: dict[str, Any]):
        self.libc, self.spec = libc, spec
        sources = [os.path.realpath(p) for p in (*spec["read"], *spec["write"], spec.get("copies", "/-"))]
        tops = (entry for entry in os.scandir("/") if entry.is_dir(follow_symlinks=False) and entry.name not in PLACES)
        free = [top.path for top in tops if not any(f"{source}/".startswith(f"{top.path}/") for source in sources)]
        if not free:
            raise OSError("no folder of the root is free")
        self.base = min(free)
        self.mounted = self.entered = False

    def make(self, own_processes: bool) -> bool:
        """Make it and enter it; True: it has a /proc of its own."""
        # folders that only lead to what is allowed cannot be listed, unless they hold copies
        mask = os.umask(0o022 if "copies" in self.spec else 0o466)
        try:
            return self._make(own_processes)
        finally:
            os.umask(mask)

    def _make(self, own_processes: bool) -> bool:
        self.mount(None, "/", None, MS_REC | MS_PRIVATE)
        self.mount("tmpfs", self.base, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
        self.mounted = True
        for folder in ("dev", *(path[1:] for path in SCRATCH)):
            os.makedirs(f"{self.base}/{folder}", exist_ok=True)
        for folder in SCRATCH:
            options = f"mode=1777,size={SCRATCH_SIZE},nr_inodes=200000"
            self.mount("tmpfs", self.base + folder, "tmpfs", MS_NOSUID | MS_NODEV, options)
        copied = list(self.place_copies(self.spec["copies"], "")) if "copies" in self.spec else []
        self.place_allowed()
        for path in copied:  # read-only now that all places for mounts in them are made
            self.protect(path, 0)
        self.make_etc()
        self.make_dev()
        own_proc = self.place_proc(own_processes)
        self.enter()
        return own_proc

    def mount(self, source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
        words = (None if word is None else os.fsencode(word) for word in (source, target, kind))
        if self.libc.mount(*words, ctypes.c_ulong(flags), None if options is None else options.encode()):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), target)

    def protect(self, path: str, recursive: int = RECURSIVE) -> None:
        """Make what is mounted at a path read-only."""
        attributes = struct.pack("QQQQ", MS_RDONLY | MS_NOSUID, 0, 0, 0)
        if self.libc.syscall(MOUNT_SETATTR, HERE, os.fsencode(path), recursive, attributes, ctypes.c_size_t(32)) == 0:
            return
        # Linux before 5.12; flags that were there must be named again, and have the same numbers
        there = os.statvfs(path).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC | 1 << 10 | 1 << 11)
        self.mount(None, path, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | there)

    def bind(self, source: str, path: str, writable: bool = False) -> None:
        """Show a file or folder of outside at a path in the new root."""
        target = self.base + path
        if os.path.isdir(source):
            os.makedirs(target, exist_ok=True)
        elif not os.path.lexists(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o444))
        self.mount(source, target, None, MS_BIND | MS_REC)
        if not writable:
            self.protect(target)

    def place_copies(self, copies: str, path: str) -> Iterable[str]:
        """Bind copies at their paths, folders as a whole where nothing else lies in them; the mounts that this took."""
        for entry in os.scandir(copies):
            here = f"{path}/{entry.name}"
            if any(f"{folder}/".startswith(f"{here}/") for folder in SCRATCH):
                yield from self.place_copies(entry.path, here)
            else:
                self.bind(entry.path, here, writable=True)
                yield self.base + here

    def place_allowed(self) -> None:
        """Bind what may be read and written to; what lies in a folder that is there already needs no mount."""
        writable = {os.path.abspath(path) for path in self.spec["write"]}
        readable = {os.path.abspath(path) for path in self.spec["read"]}
        there: dict[str, str] = {}
        for path in sorted(writable | readable):
            source, folder = os.path.realpath(path), os.path.dirname(path)
            if path == "/" or f"{path}/".startswith("/proc/"):
                continue
            if not os.path.exists(source):  # its folder is there, as outside
                with suppress(OSError):
                    os.makedirs(self.base + folder * os.path.isdir(folder), exist_ok=True)
                continue
            above = next((p for p in reversed(there) if path.startswith(f"{p}/")), None)
            same = above is not None and source == there[above] + path[len(above) :]
            if same and (path not in writable or above in writable):
                continue
            self.bind(source, path, path in writable)
            there[path] = source

    def make_etc(self) -> None:
        """The little of /etc that libraries ask for, none of it this machine's but where libraries lie."""
        user, group, home = os.getuid(), os.getgid(), "/tmp"
        files = {
            "passwd": f"user:x:{user}:{group}::{home}:/bin/sh\n",
            "group": f"user:x:{group}:\n",
            "hosts": "127.0.0.1 localhost\n::1 localhost\n",
            "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
        }
        with suppress(OSError), open("/etc/ld.so.cache", "rb") as f:
            self.write("/etc/ld.so.cache", f.read(1 << 24))
        for name, text in files.items():
            self.write(f"/etc/{name}", text.encode())

    def write(self, path: str, content: bytes) -> None:
        target = self.base + path
        if not os.path.lexists(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as f:
                f.write(content)
                os.fchmod(f.fileno(), 0o444)

    def make_dev(self) -> None:
        for path in (*(f"/dev/{name}" for name in DEVICES), *glob.glob("/dev/nvidia*")):
            if not os.path.lexists(self.base + path) and os.path.exists(path):
                self.bind(path, path, writable=True)
        links = {"fd": "fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
        for name, target in links.items():
            os.symlink(f"/proc/self/{target}", f"{self.base}/dev/{name}")

    def place_proc(self, own_processes: bool) -> bool:
        target = f"{self.base}/proc"
        os.mkdir(target)
        own = False
        if own_processes:
            with suppress(OSError):  # refused where the /proc outside has parts that are hidden, as in a container
                self.mount("proc", target, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
                own = True
        if not own:
            self.mount("/proc", target, None, MS_BIND | MS_REC)
        os.mkdir(f"{self.base}/dev/empty")
        for name in SECRET if self.spec.get("trains") else (*SECRET, *BUSY):
            path = f"{target}/{name}"
            if os.path.isdir(path):
                self.mount(f"{self.base}/dev/empty", path, None, MS_BIND)
            elif os.path.exists(path):
                self.mount("/dev/null", path, None, MS_BIND)
        with suppress(OSError):
            self.protect(target)
        return own

    def enter(self) -> None:
        os.chdir(self.base)
        if self.libc.syscall(PIVOT_ROOT[os.uname().machine], b".", b"."):
            raise OSError(ctypes.get_errno(), "the root cannot be changed")
        self.entered = True
        if self.libc.umount2(b".", MNT_DETACH):
            raise OSError(ctypes.get_errno(), "the root outside cannot be left")
        os.chdir("/")
        self.protect("/", 0)

    def undo(self) -> None:
        """Take the new root away again, where it is not entered."""
        if self.mounted:
            os.chdir("/")
            self.libc.umount2(os.fsencode(self.base), MNT_DETACH)

    def hide(self, sockets: Iterable[str]) -> None:
        """Hide others' sockets that lie in what is bound."""
        for path in filter(is_socket, sockets):
            self.mount("/dev/null", path, None, MS_BIND)


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
