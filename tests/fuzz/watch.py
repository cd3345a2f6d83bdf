"""What no reader may do, seen by Python's own audit events; and how much memory and time an input takes."""

import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
FORBIDDEN = {
    "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown",
    "os.utime", "os.chdir", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.kill",
    "os.putenv", "os.unsetenv", "os.setxattr", "pty.spawn", "subprocess.Popen", "tempfile.mkstemp",
    "tempfile.mkdtemp", "shutil.copyfile", "shutil.move", "shutil.rmtree", "shutil.unpack_archive",
    "pickle.find_class", "ctypes.dlopen", "socket.bind", "urllib.Request", "webbrowser.open", "builtins.input",
}  # fmt: skip
SYSTEM = ("/proc/", "/sys/", "/usr/", "/lib/", "/etc/localtime", "/dev/urandom", "/dev/null")  # may be read


class Watch:
    """Notes what a reader does beside reading its input."""

    def __init__(self, box: Path, repository: Path, ports: set[int]) -> None:
        self.on = False
        self.seen: list[str] = []
        self.box, self.ports = str(box), ports
        code = [str(repository), sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *SYSTEM]
        self.code = tuple({os.path.realpath(place) for place in code} | {*code})
        sys.addaudithook(self.hear)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook cannot be taken away again, so it asks first whether an input is being read."""
        if not self.on:
            return
        if event == "open":
            self._opened(*arguments)
        elif event == "exec":
            name = getattr(arguments[0], "co_filename", "?")
            if name != "knobs" and not name.startswith(self.code):  # pack decides its own conditions under that name
                self.seen.append(f"runs code of {name}")
        elif event == "socket.connect":
            if arguments[1][1:2] and arguments[1][1] not in self.ports:
                self.seen.append(f"connects to {arguments[1]}")
        elif event in FORBIDDEN and not (event == "os.mkdir" and os.path.isdir(arguments[0])):  # which changes nothing
            self.seen.append(f"{event} {arguments!r:.200}")

    def _opened(self, path: Any, mode: Any, flags: Any) -> None:
        if isinstance(path, int):
            return
        path = os.fsdecode(path)
        if path == "<unknown>":  # Python looks for the line of a SyntaxError
            return
        if (isinstance(flags, int) and flags & WRITES) or (isinstance(mode, str) and set(mode) & set("wax+")):
            self.seen.append(f"opens {path} for writing")
        whole = os.path.join(os.getcwd(), path)
        if not os.path.normpath(whole).startswith((self.box, *self.code)):
            self.seen.append(f"reads {path}, outside its folder")


class Memory:
    """The most memory that this process had, in MiB, since it was asked last."""

    def __init__(self) -> None:
        self.reset = os.open("/proc/self/clear_refs", os.O_WRONLY)
        self.status = os.open("/proc/self/status", os.O_RDONLY)

    def begin(self) -> float:
        """Forget the peak; what the process has now."""
        os.pwrite(self.reset, b"5", 0)
        return self.peak()

    def peak(self) -> float:
        """The peak since `begin`."""
        text = os.pread(self.status, 4096, 0)
        return int(text[text.index(b"VmHWM:") + 6 :].split(maxsplit=1)[0]) / 1024
