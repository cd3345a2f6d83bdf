"""A process that forks one for every evaluator, started by path: server.py SOCKET (a file descriptor).

It has torch and pgolf's own code loaded and one thread, so that a fork is quick and safe; it runs nothing of a
stranger's. It answers "fork" (a job, with the sockets for its requests and its output) and "end" (kill and wait).
Processes that an evaluator leaves behind become children of this one, which kills them.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
MOST_JOB = 1 << 20  # bytes
PATIENCE_S = 20.0  # that killed processes may take to be gone


def main() -> None:
    to = socket.socket(fileno=int(sys.argv[1]))
    from pgolf.legality import seal, served
    from pgolf.legality.state import Heap

    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    running: set[int] = set()
    with Heap() as heap:
        to.send(b"{}")
        while True:
            text, fds, _, _ = socket.recv_fds(to, MOST_JOB, 3)
            if not text:
                break
            request = json.loads(text)
            if request["do"] == "end":
                to.send(json.dumps({"status": end(request["pid"], running)}).encode())
                continue
            pid = os.fork()
            if pid == 0:
                if libc:  # a process whose server is killed ends
                    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                to.close()
                in_child(fds, request, served, seal, heap)
            running.add(pid)
            for fd in fds:
                os.close(fd)
            to.send(json.dumps({"pid": pid}).encode())
    for pid in list(running):
        end(pid, running)


def in_child(fds: list[int], job: dict[str, Any], served: Any, seal: Any, heap: Any) -> None:
    """Serve one evaluator over the first descriptor, and end; the second is its output, the third the seal's report."""
    code = 1
    try:
        os.setsid()
        requests = socket.socket(fileno=fds[0])
        null = os.open(os.devnull, os.O_RDONLY)
        for fd, to in ((null, 0), (fds[1], 1), (fds[1], 2)):
            os.dup2(fd, to)
        os.close(fds[1])
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with suppress(OSError):  # where memory runs out, this process goes before others
            Path("/proc/self/oom_score_adj").write_text("1000")
        if job["seal"]:
            spec = json.loads(Path(job["seal"]).read_text())
            spec |= {"report": fds[2], "keep": [requests.fileno()], "environment": job["env"]}
            job["means"] = seal.enter({**spec, "write": [*spec["write"], job["folder"]]})
        served.settle(job)
        served.serve(requests, job, heap)
        code = 0
    except BaseException as e:
        print(f"{type(e).__name__}: {e}", file=sys.stderr, flush=True)
    os._exit(code)


def end(pid: int, running: set[int]) -> int:
    """Kill a process with all that it has started; its wait status."""
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    running.discard(pid)
    # Children of what was killed come to this process, one generation after the other. None is waited for alone: the
    # first process of a namespace ends only after the others have been reaped.
    until = time.monotonic() + PATIENCE_S
    while (left := orphans(running)) and time.monotonic() < until:
        for orphan in left:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(orphan, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(orphan, os.WNOHANG)
        time.sleep(0.001)
    return status


def orphans(running: set[int]) -> list[int]:
    """The children of this process that it has not forked itself."""
    try:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    except OSError:
        return []
    return [int(c) for c in children if int(c) not in running]


if __name__ == "__main__":
    main()
