"""Records that take seconds: the real command, a tiny preset, and what it left behind."""

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from servers import copy_database

from pgolf.data.dataset import Dataset

TINY = Path(__file__).parent / "flows"  # tiny.toml, tiny_base.toml and tiny_track.toml
PREFECT_HOME = tempfile.TemporaryDirectory(prefix="pgolf-test-prefect-")
SERVER = ""  # the API that commands use; '': each brings its own server
# of these packages' docstrings is the tests' text, about 400 KB
PACKAGES = ("argparse", "asyncio", "email", "idlelib", "logging", "statistics", "tarfile", "unittest")
PACKAGES += ("_pydecimal", "difflib", "multiprocessing", "typing")
PGOLF = str(Path(sys.executable).with_name("pgolf"))


@dataclass
class Made:
    """A record that `pgolf record --json` has made: what it printed, and the folder for records."""

    outcome: dict
    stderr: str
    runs_dir: Path

    @property
    def folder(self) -> Path:
        return Path(self.outcome["folder"])


def environment() -> dict[str, str]:
    """As in a fresh shell: of Prefect only where its database is, which takes seconds to make, and SERVER are set."""
    copy_database(Path(PREFECT_HOME.name))
    fresh = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")} | {"PREFECT_HOME": PREFECT_HOME.name}
    return fresh | ({"PREFECT_API_URL": SERVER} if SERVER else {})


def record_command(track: Path, data: Dataset | Path, runs_dir: Path, *more: str) -> list[str]:
    """The command line of `pgolf record --json` in `runs_dir`; `data` is a dataset, or where one is made."""
    data_dir = data if isinstance(data, Path) else data.data_dir
    where = ["--track", str(track), "--data-dir", str(data_dir), "--runs-dir", str(runs_dir)]
    return [PGOLF, "record", "--json", *where, *more]


def record(track: Path, data: Dataset, runs_dir: Path, *more: str) -> tuple[int, Made | None, str]:
    """Run it, as on a terminal: exit code, what was made (None where nothing was printed), standard error."""
    command = record_command(track, data, runs_dir, "--no-foreground", *more)
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=500)
    made = Made(json.loads(done.stdout), done.stderr, runs_dir) if done.stdout else None
    return done.returncode, made, done.stderr


def here(command: list[str]) -> tuple[int, str, str]:
    """Run a command line of pgolf in this process, on the server SERVER: exit code, standard output, standard error.

    This process has imported what costs a command ten seconds of CPU.
    """
    from prefect.settings import PREFECT_API_URL, temporary_settings

    import pgolf.flows  # noqa: F401  before Prefect, which it gives defaults
    from pgolf.cli import main

    assert SERVER, "a server of the command's own is left to commands in a process of their own"
    out, err, code = StringIO(), StringIO(), 0
    command = [*command, "--foreground"] if command[1] == "record" else command
    settings = temporary_settings({PREFECT_API_URL: SERVER})
    with as_before(), settings, patch.object(sys, "argv", command), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as e:
            code = int(e.code or 0)
    return code, out.getvalue(), err.getvalue()


@contextmanager
def as_before() -> Iterator[None]:
    """Give this process its handlers of signals and of logs back, which a command sets as if it were alone."""
    log = logging.getLogger("pgolf")
    handlers, level, propagate = list(log.handlers), log.level, log.propagate
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        log.handlers[:], log.propagate = handlers, propagate
        log.setLevel(level)
        for number, handler in signals.items():
            signal.signal(number, handler)


def record_here(track: Path, data: Dataset, runs_dir: Path, *more: str) -> tuple[int, Made | None, str]:
    """`record`, in this process."""
    code, stdout, stderr = here(record_command(track, data, runs_dir, *more))
    return code, Made(json.loads(stdout), stderr, runs_dir) if stdout else None, stderr


def measured_track(made: Made, folder: Path) -> Path:
    """tiny_track.toml in `folder`, with the standing record that `made` has measured as its ledger entry."""
    return track_against(made.folder / "baseline/standing.json", folder)


def track_against(standing: Path, folder: Path) -> Path:
    """tiny_track.toml in `folder`, with this standing record."""
    text = (TINY / "tiny_track.toml").read_text().replace("tiny-standing.json", str(standing))
    for name in ("tiny.toml", "tiny_base.toml"):
        text = text.replace(f'"{name}"', f'"{TINY / name}"')
    path = folder / "tiny_track.toml"
    path.write_text(text)
    return path
