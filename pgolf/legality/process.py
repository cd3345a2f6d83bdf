"""Processes that pgolf starts for a stranger's evaluator, seen from here: clock, memory, output and end."""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor

import pgolf
from pgolf.errors import BadInput, RunFailed
from pgolf.legality import wire
from pgolf.legality.budget import Budget, OutOfTime
from pgolf.legality.memory import machine_memory, memory_of

SLICE_S = 0.2  # between looks at memory and clock
TAIL = 1 << 14  # bytes of output that are kept
SHOWN = 600  # characters of it in a message
SERVER_S = 120.0  # that the server may take to start, or to answer
MOST_REPORT = 1 << 20  # bytes of what is tried in the seal of one pass
EXIT_S = 5.0  # that a process may take to end after it has closed its socket
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
GONE = "the process that starts evaluators has ended: an evaluator has killed it"


@dataclass(frozen=True)
class Bounds:
    """The time that an evaluator's passes may take together, and how many bytes its processes may."""

    budget: Budget = field(default_factory=Budget)
    memory: int = 0  # 0: half of the machine's
    silence_s: float = 0.0  # that it may take for an answer; 0: as the budget says

    @property
    def most_memory(self) -> int:
        return self.memory or machine_memory() // 2


class Server:
    """The process that forks; started when it is needed, and again if it was killed."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.generation = 0

    def start(self) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(SERVER_S)
        env = {**os.environ, **dict.fromkeys(THREADS, "1"), "PYTHONPATH": str(Path(pgolf.__file__).parents[1])}
        command = [sys.executable, "-P", "-m", "pgolf.legality.server", str(theirs.fileno())]
        fds = [theirs.fileno()]
        self.process = subprocess.Popen(command, env=env, pass_fds=fds, stdin=subprocess.DEVNULL, stdout=2)
        theirs.close()
        self.generation += 1
        with self._asked():
            self._reply()

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def fork(self, job: Mapping[str, Any], fds: Sequence[int]) -> int:
        """A new process with two file descriptors, of its requests and its output; its id."""
        if not self.alive:
            self.close(kill=True)
            self.start()
        with self._asked():
            socket.send_fds(self.socket, [json.dumps({"do": "fork", **job}).encode()], fds)
            return int(self._reply()["pid"])

    def end(self, pid: int) -> int:
        """Kill a process and all that it has started; its exit code, or a signal's number below 0."""
        with self._asked():
            self.socket.send(json.dumps({"do": "end", "pid": pid}).encode())
            return os.waitstatus_to_exitcode(int(self._reply()["status"]))

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """RunFailed, and another server at the next call, if this one does not answer."""
        try:
            yield
        except (OSError, EOFError, ValueError, LookupError):
            self.close(kill=True)
            self.generation += 1
            raise RunFailed(GONE) from None

    def _reply(self) -> dict[str, Any]:
        reply = self.socket.recv(1 << 16)
        if not reply:
            raise EOFError
        answer: dict[str, Any] = json.loads(reply)
        return answer

    def close(self, kill: bool = False) -> None:
        if self.process is None:
            return
        self.socket.close()
        if kill:
            self.process.kill()
        try:
            self.process.wait(EXIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


@cache
def shared_server() -> Server:
    """The one server of this process, which takes seconds to start; it ends with this process."""
    server = Server()
    atexit.register(server.close)
    return server


class NotMade(RunFailed):
    """The evaluator's file, or its factory, raises an exception before it has made anything."""


class Process:
    """A process with one evaluator. `ask` gets an answer, or ends it and raises RunFailed with what it did."""

    def __init__(self, server: Server, job: Mapping[str, Any], bounds: Bounds, at_end: "Callable[[Process], None]"):
        self.server, self.bounds, self.at_end = server, bounds, at_end
        self.socket, theirs = socket.socketpair()
        (self.output, log), (self.report, report) = os.pipe(), os.pipe()
        try:
            self.pid = server.fork(job, [theirs.fileno(), log, report])
        except RunFailed:
            self.socket.close()
            os.close(self.output)
            os.close(self.report)
            raise
        finally:
            theirs.close()
            os.close(log)
            os.close(report)
        self.socket.setblocking(False)
        os.set_blocking(self.output, False)
        os.set_blocking(self.report, False)
        self.reported = b""
        self.tail, self.generation = b"", server.generation
        self.open = True
        self.exits = os.pidfd_open(self.pid) if hasattr(os, "pidfd_open") else -1

    def ask(
        self,
        request: Mapping[str, Any],
        tensors: Sequence[Tensor] = (),
        *,
        most: int = 1 << 16,
        when: str,
        silence_s: float | None = None,
    ) -> tuple[dict[str, Any], list[Tensor]]:
        """The answer to a request, whose tensors have at most `most` bytes. `when`: for messages, what it was to do.

        Raises
        ------
        BadInput : there is no such function.
        NotMade : it raises an exception when it is loaded or made.
        RunFailed : it fails, ends, is silent for too long, takes too much memory, or answers anything else.
        """
        if not self.open:
            raise RunFailed(f"{when}: its process has ended already")
        self.silence_s = silence_s or self.bounds.silence_s or self.bounds.budget.silence
        self.until = time.monotonic() + self.silence_s
        try:
            for part in wire.pack(dict(request), tensors):
                self._send(memoryview(part), when)
            header, values = wire.unpack(lambda into: self._receive(into, when), min(most, self.bounds.most_memory))
        except wire.Garbled as e:
            raise self.failure(when, f"gives {e}") from None
        if "bad" in header:
            self.close()
            raise BadInput(str(header["bad"])[:2000])
        if "failed" in header:
            failure = self.failure(when, str(header["failed"])[:2000])
            if isinstance(raised := header.get("raised"), str):
                raise NotMade(raised[:2000] + self.wrote())
            raise failure
        return header, values

    def failure(self, when: str, what: str) -> RunFailed:
        """End the process, and word its failure with the last that it wrote."""
        self.close()
        return RunFailed(f"{when} it {what}{self.wrote()}")

    def wrote(self) -> str:
        """The end of a sentence, with the last of its output."""
        text = "".join(c if c.isprintable() or c == "\n" else "?" for c in self.tail.decode(errors="replace")).strip()
        return f"; the last that it wrote: {text[-SHOWN:]}" if text else ""

    def close(self) -> int | None:
        """Kill what is left of it; its exit code, or a signal's number below 0; None if nobody knows."""
        if not self.open:
            return None
        self.open = False
        self._drain()
        code = self._kill()
        self.at_end(self)
        return code

    def _kill(self) -> int | None:
        if self.exits >= 0:
            os.close(self.exits)
        self.socket.close()
        os.close(self.output)
        os.close(self.report)
        if self.server.generation == self.generation:
            with suppress(RunFailed):
                return self.server.end(self.pid)
        for kill in (os.killpg, os.kill):  # its server was killed
            with suppress(ProcessLookupError, PermissionError):
                kill(self.pid, signal.SIGKILL)
        return None

    def _send(self, part: memoryview, when: str) -> None:
        while part:
            try:
                part = part[self.socket.send(part) :]
            except BlockingIOError:
                self._wait(select.POLLOUT, when)
            except OSError:
                raise self._ended(when) from None

    def _receive(self, into: memoryview, when: str) -> None:
        while into:
            try:
                got = self.socket.recv_into(into)
            except BlockingIOError:
                self._wait(select.POLLIN, when)
                continue
            except OSError:
                got = 0
            if not got:
                raise self._ended(when)
            into = into[got:]

    def _wait(self, event: int, when: str) -> None:
        """Until the socket is ready; RunFailed if the process ends, is silent for too long, or takes too much."""
        poll, look = select.poll(), time.monotonic() + SLICE_S
        own = [(fd, select.POLLIN) for fd in (self.output, self.report, self.exits)]
        for fd, events in ((self.socket.fileno(), event), *own):
            if fd >= 0:
                poll.register(fd, events)
        while True:
            ready = dict(poll.poll(SLICE_S * 1000))
            if {self.output, self.report} & ready.keys():
                for closed in self._drain():
                    with suppress(KeyError):  # it may have been seen before
                        poll.unregister(closed)
            if self.socket.fileno() in ready:
                return
            if self.exits in ready:
                raise self._ended(when)
            if (now := time.monotonic()) < look:
                continue
            look = now + SLICE_S
            if not self.server.alive:
                raise self._ended(when)
            if now > self.bounds.budget.end:
                raise self._out_of_time(when)
            if now > self.until:
                raise self.failure(when, f"has given no answer for {self.silence_s:,.0f} s")
            if (taken := memory_of(self.pid)) > self.bounds.most_memory:
                most = f"of {self.bounds.most_memory / 1e6:,.0f} MB"
                raise self.failure(when, f"takes {taken / 1e6:,.0f} MB of memory, which is more than its bound {most}")

    def _out_of_time(self, when: str) -> RunFailed:
        budget = self.bounds.budget
        if not budget.longest:
            return self.failure(when, f"has not come to its end within the budget of {budget.seconds:,.0f} s")
        self.close()
        return OutOfTime(f"{when} the budget of {budget.seconds:,.0f} s ends")

    def _drain(self) -> list[int]:
        """Keep the last that it has written by now, and the first that the seal reports; the pipes that are closed."""
        closed = []
        for pipe in (self.output, self.report):
            with suppress(BlockingIOError):
                for _ in range(64):
                    written = os.read(pipe, TAIL)
                    if not written:
                        closed.append(pipe)
                        break
                    if pipe == self.output:
                        self.tail = (self.tail + written)[-TAIL:]
                    else:
                        self.reported += written[: MOST_REPORT - len(self.reported)]
        return closed

    def _ended(self, when: str) -> RunFailed:
        """How it ended, in words; it gets a moment to do so after it has closed its socket."""
        gone = self.exits >= 0 and bool(select.select([self.exits], [], [], EXIT_S)[0])
        code = self.close()
        if code is None:
            return self.failure(when, "kills the process that started it")
        if not gone:
            return self.failure(when, "closes its connection to pgolf")
        how = f"ends with exit code {code}" if code >= 0 else f"is killed by {_signal(-code)}"
        return self.failure(when, how)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
