"""What Python in a sealed process tries: heard there by an audit hook, and judged outside.

Standard library only, and it stands alone.
"""

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

SOCKETS = ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname")
PROCESSES = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty")
MOST_LINES = 10_000  # of a report
# what libraries ask for to know the machine and its settings, and do without
HARMLESS = ("/proc", "/sys", "/usr/share/zoneinfo", "/dev/urandom", "/dev/random", "/dev/zero", "/dev/full", "/dev/fd")
ETC = (
    *("passwd", "group", "hosts", "host.conf", "resolv.conf", "nsswitch.conf", "protocols", "services", "gai.conf"),
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "timezone", "os-release", "locale.alias"),
    *("alternatives", "OpenCL", "nvidia", "machine-id", "python3", "python3.11", "mime.types", "bash.bashrc"),
    "profile",
)  # no more of /etc: it has keys of the machine


def inside(path: str, allowed: Iterable[str]) -> bool:
    return any(path == a or path.startswith(a.rstrip("/") + "/") for a in allowed)


def hook(
    read: list[str] | None, write: list[str], report: int, children_too: bool
) -> Callable[[str, tuple[Any, ...]], None]:
    """An audit hook that writes what may not be allowed to `report`, a file descriptor: a line each, as JSON.

    `read`: the only paths that may be read; None: all that are there. It does not hear what another process does, so
    that starting one is told, unless the seal holds for `children_too`.
    """
    said: set[str] = set()

    def tell(event: str, what: str) -> None:
        line = json.dumps({"event": event, "what": what[:2000]}) + "\n"
        if line in said or len(said) > MOST_LINES:
            return
        said.add(line)
        if len(said) > MOST_LINES:
            line = json.dumps({"event": "tries", "what": f"more than {MOST_LINES:,} things that it may not"}) + "\n"
        os.write(report, line.encode())

    def listen(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(args[0], (str, bytes)):
            path = os.path.realpath(os.fsdecode(args[0]))
            writing = args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) if isinstance(args[2], int) else 0
            allowed = inside(path, write) if writing else os.path.exists(path) if read is None else inside(path, read)
            if not allowed:
                tell("writes" if writing else "opens", path)
        elif event in SOCKETS:
            address = args[1] if len(args) > 1 else None
            if not (isinstance(address, (str, bytes)) and inside(os.fsdecode(address), write)):
                tell("uses the network", f"{event} {args[1:]!r}")
        elif event in PROCESSES and not children_too:
            tell("starts a process", repr(args[:2]))

    return listen


def offences(lines: Iterable[str | bytes], spec: dict[str, Any]) -> list[str]:
    """What a sealed process tried and was not allowed, from the lines of its report.

    Called outside, where it is seen which files there are: to try one that is not there is no offence.
    """
    kinds = {"opens": (*spec["read"], *spec["write"], *HARMLESS, *(f"/etc/{name}" for name in ETC)), "writes": ()}
    kinds["opens"] += tuple(map(os.path.realpath, kinds["opens"]))
    found: dict[str, None] = {}
    for line in lines:
        try:
            said = json.loads(line)
            event, what = str(said["event"]), str(said["what"])
            harmless = event in kinds and (not os.path.exists(what) or inside(os.path.realpath(what), kinds[event]))
            harmless |= event == "opens" and os.path.basename(os.path.dirname(what)) == "__pycache__"  # Python itself
        except (ValueError, LookupError, TypeError, RecursionError):
            event, what, harmless = "writes", "into the report of the seal", False
        if not harmless:
            found[f"{event}: {what}"] = None
    return list(found)
