"""A record on a terminal that is left, closed and come back to; one that is stopped. Its seeds replay those of the
record that was made."""

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import replay
from living import of_pod, wait_for
from seconds import PGOLF, TINY, Made, environment, record_command

from pgolf.data.dataset import Dataset

pytestmark = [pytest.mark.record, pytest.mark.usefixtures("shared_server")]


@dataclass
class Terminal:
    """A command on a terminal of its own, what that has shown."""

    pid: int
    fd: int
    shown: str = ""
    code: int | None = None
    reader: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while data := os.read(self.fd, 65536) if select.select([self.fd], [], [], 600)[0] else b"":
                self.shown += data.decode(errors="replace")

    def ctrl_c(self) -> None:
        os.write(self.fd, b"\x03")

    def close(self) -> None:
        os.kill(self.pid, 0)
        os.close(self.fd)

    def wait(self) -> int:
        deadline = time.monotonic() + 60
        while self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
            assert time.monotonic() < deadline, f"it goes on: {self.shown[-2000:]}"
            time.sleep(0.05)
        return self.code


@dataclass
class Shell:
    """Terminals, and a record that is made on one: its folder, its command."""

    record: Path
    command: list[str]
    terminals: list[Terminal] = field(default_factory=list)

    @property
    def attempts(self) -> list[Path]:
        return sorted(self.record.glob("seeds/*/attempt-*"))

    def type(self, command: list[str]) -> Terminal:
        """Start a command on a new terminal."""
        given = environment() | {"TERM": "xterm", "COLUMNS": "100"}
        pid, fd = pty.fork()
        if pid == 0:
            os.execvpe(command[0], command, given)
        self.terminals.append(Terminal(pid, fd))
        return self.terminals[-1]

    def pgolf(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [PGOLF, *words, "--runs-dir", str(self.record.parent)]
        return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120)

    def orchestrator(self) -> psutil.Process:
        """The process that makes the record, by its file."""
        return psutil.Process(json.loads((self.record / "orchestrator.json").read_text())["process"]["pid"])

    def state(self) -> str:
        """Where the record stands, by `pgolf status`."""
        (stand,) = json.loads(self.pgolf("status", "--json").stdout)
        return str(stand["state"])

    def await_frozen_seeds(self) -> None:
        """Until both first seeds run; their trainers stand still then."""
        wait_for(lambda: len([p for p in self.attempts if (p / "events.jsonl").exists()]) == 2)
        for attempt in self.attempts:
            for process in of_pod(attempt):
                process.suspend()

    def resume(self) -> None:
        for attempt in self.attempts:
            for process in of_pod(attempt):
                process.resume()


@pytest.fixture
def shell(made: Made, tiny_track: Path, tiny_data: Dataset, tmp_path: Path) -> Iterator[Shell]:
    """A record on a terminal, two of its seeds in their midst."""
    command = record_command(tiny_track, tiny_data, tmp_path, "--no-probe", "--parallel", "2", "--id", "left")
    opened = Shell(tmp_path / "left", replay.command(made.folder / "seeds", command))
    try:
        yield opened
    finally:
        for terminal in opened.terminals:
            if terminal.code is None:
                os.kill(terminal.pid, signal.SIGKILL)
        with contextlib.suppress(OSError, psutil.Error):
            opened.orchestrator().kill()
        for attempt in opened.attempts:
            for process in of_pod(attempt):
                process.kill()


def test_record_goes_on_without_its_terminal_and_is_come_back_to(shell: Shell, made: Made) -> None:
    first = shell.type(shell.command)
    shell.await_frozen_seeds()
    pods = {p: (p / "pod.json").read_text() for p in shell.attempts}
    wait_for(lambda: "seed 314" in first.shown)
    first.ctrl_c()
    assert first.wait() == 128 + signal.SIGINT
    assert "left goes on without this terminal" in first.shown
    assert "pgolf watch left --runs-dir" in first.shown and "pgolf stop left --runs-dir" in first.shown
    orchestrator = shell.orchestrator()
    assert all(of_pod(attempt) for attempt in pods)
    assert shell.state() == "running"

    second = shell.type(shell.command)  # it attaches
    wait_for(lambda: "seed 314" in second.shown)
    second.close()
    second.wait()
    assert shell.orchestrator() == orchestrator and orchestrator.is_running()
    assert all(of_pod(attempt) for attempt in pods)

    line = [PGOLF, "watch", "left", "--json", "--runs-dir", str(shell.record.parent)]
    with subprocess.Popen(line, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watch:
        shell.resume()
        stdout, stderr = watch.communicate(timeout=200)
    assert watch.returncode == 0, stderr
    outcome = json.loads(stdout)
    assert [s["val_bpb"] for s in outcome["seeds"]] == [s["val_bpb"] for s in made.outcome["seeds"]]
    assert outcome["comparison"]["verdict"] == made.outcome["comparison"]["verdict"]
    assert all((attempt / "pod.json").read_text() == text for attempt, text in pods.items())
    assert not list(shell.record.glob("seeds/*/attempt-2"))
    assert shell.state() == "finished"
    again = shell.pgolf("watch", "left")
    assert again.returncode == 0 and "pre-quant" in again.stdout
    assert shell.pgolf("watch", "lefd").returncode == 2


@pytest.mark.parametrize("alive", [True, False])
def test_stop_ends_every_process_also_where_nobody_is_at_it(shell: Shell, alive: bool) -> None:
    terminal = shell.type(shell.command)
    shell.await_frozen_seeds()
    orchestrator, attempts = shell.orchestrator(), shell.attempts
    if alive:
        shell.resume()
    else:
        orchestrator.kill()
        terminal.wait()
        assert terminal.code == 1
        assert "2 of its runs go on here" in " ".join(terminal.shown.split())
        assert shell.state() == "left"
    stopped = shell.pgolf("stop", "left")
    assert stopped.returncode == 0, stopped.stderr
    assert "finished work is kept" in stopped.stdout and "go on: " in stopped.stdout
    assert not any(of_pod(attempt) for attempt in attempts)
    assert not orchestrator.is_running() or orchestrator.status() == psutil.STATUS_ZOMBIE
    assert terminal.wait() == 1
    assert shell.state() == "stopped"
    again = shell.pgolf("stop", "left")
    assert again.returncode == 0 and "nothing of it runs" in again.stdout


def test_ctrl_c_of_a_sweep_says_what_it_does_and_ends_what_runs(made: Made, tiny_data: Dataset, tmp_path: Path) -> None:
    where = ["--track", str(TINY / "tiny_track.toml"), "--data-dir", str(tiny_data.data_dir), "--id", "swept"]
    command = [PGOLF, "sweep", "--candidate", "TTT_EPOCHS=2", *where, "--runs-dir", str(tmp_path)]
    shell = Shell(tmp_path / "swept", replay.command(made.folder / "seeds", command, seed="'42'", pace_s=600.0))
    terminal = shell.type(shell.command)
    attempt = shell.record / "base" / "1337" / "attempt-1"
    try:
        wait_for((attempt / "events.jsonl").exists)
        frozen = of_pod(attempt)
        for process in frozen:
            process.suspend()
        terminal.ctrl_c()
        wait_for(lambda: "Ctrl-C: ending what runs" in terminal.shown)
        terminal.ctrl_c()
        wait_for(lambda: "Ctrl-C: still ending what runs" in terminal.shown)
        for process in frozen:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
        assert terminal.wait() == 128 + signal.SIGINT
        shown = terminal.shown
        assert shown.index("Ctrl-C: ending") < shown.index("stopped: all runs are ended, and finished work is kept")
        assert "Traceback" not in shown
        assert not of_pod(attempt)
        assert shell.state() == "stopped"
        assert "go on: pgolf sweep --candidate TTT_EPOCHS=2 --track " in shell.pgolf("status").stdout
    finally:
        if terminal.code is None:
            os.kill(terminal.pid, signal.SIGKILL)
        for process in of_pod(attempt):
            process.kill()
