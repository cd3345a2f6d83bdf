"""Fixtures that several test folders share."""

import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import artifacts
import pytest
import seconds
from filelock import FileLock
from seconds import PACKAGES, TINY, Made, measured_track, record
from servers import common_server

from pgolf.data.dataset import Dataset
from pgolf.data.pydocs import build
from pgolf.files import write_json

if not hasattr(sys.modules["__main__"], "__file__"):  # in a worker of pytest-xdist
    sys.modules["__main__"].__file__ = pytest.__file__  # trainers that run in this process measure their code
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a script's background; commands here are sent Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each of hundreds of processes compiles all that it imports
sys.dont_write_bytecode = False

if "PYTEST_XDIST_WORKER" not in os.environ:  # all workers and their commands keep packed trainers in one place
    CACHE = tempfile.TemporaryDirectory(prefix="pgolf-test-cache-")
    os.environ["XDG_CACHE_HOME"] = CACHE.name

RECORDS = {"made", "tiny_track", "prefect_server", "shared_server", "ground"}  # fixtures
TRAINS = {"run_trainer", "trainer_env"}
MAKER = "flows/test_record.py"  # makes the record that all have


@pytest.hookimpl(tryfirst=True)  # before pytest picks by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their fixtures, and put long files first: workers that take file after file end together.

    While the first of them makes the record that many need, the others train.
    """
    kinds: dict[Path, int] = {}
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & RECORDS:
            item.add_marker("record")
        if fixtures & TRAINS:
            item.add_marker("training")
        kind = 2 if item.get_closest_marker("record") else 1 if item.get_closest_marker("training") else 3
        kinds[item.path] = 0 if item.path.as_posix().endswith(MAKER) else min(kind, kinds.get(item.path, 3))
    items.sort(key=lambda item: kinds[item.path])


class Watched:
    """Fails a test that starts a trainer or a record and has no mark that says so: `make check` leaves those out."""

    test: pytest.Item | None = None

    def see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen" and self.test:
            _, words, cwd, _ = arguments
            if isinstance(words, Sequence) and not isinstance(words, str | bytes) and heavy(list(map(str, words)), cwd):
                pytest.fail(f"{self.test.nodeid} starts {list(words)}: mark it `record` or `training`")


def heavy(words: list[str], cwd: str | None) -> bool:
    """Whether a command line makes a record, or runs the trainer, packed or not."""
    trains = "train" in words[1:2] and not {"--describe", "--diff"} & set(words)
    if "pgolf.trainer" in words or trains or {"record", "sweep", "ablate"} & set(words[1:4]):
        return True
    programs = (Path(cwd or ".", word) for word in words if word.endswith(".py"))
    return any(p.is_file() and p.stat().st_size > 8000 and p.read_bytes().startswith(b"#coding:l1") for p in programs)


watched = Watched()
sys.addaudithook(watched.see)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    watched.test = None if any(item.get_closest_marker(name) for name in ("record", "training")) else item
    try:
        return (yield)
    finally:
        watched.test = None


@pytest.fixture(scope="session")
def tiny_data(request: pytest.FixtureRequest) -> Dataset:
    """About 400 KB of the standard library's docstrings, 512 pieces; made in seconds, kept between runs."""
    folder = request.config.cache.mkdir("tiny-data")
    with FileLock(folder / "lock"):
        return build(folder, packages=PACKAGES, vocab_size=512)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_data: Dataset) -> Made:
    """The record of tiny_track.toml, its standing record measured on the way. All of pytest's workers have this one:
    what changes it takes a copy."""
    own = tmp_path_factory.getbasetemp()
    folder = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    kept = folder / "made.json"
    with FileLock(folder / "made.lock"):
        if not kept.exists():
            code, made, stderr = record(TINY / "tiny_track.toml", tiny_data, folder / "runs")
            assert made, stderr
            assert code == 0, made.outcome["reasons"]
            write_json(kept, {"outcome": made.outcome, "stderr": stderr})
    return Made(**json.loads(kept.read_text()), runs_dir=folder / "runs")


@pytest.fixture(scope="session")
def tiny_track(tmp_path_factory: pytest.TempPathFactory, made: Made) -> Path:
    """tiny_track.toml with that standing record as a ledger entry: only the seeds of a record itself have to run."""
    return measured_track(made, tmp_path_factory.mktemp("track"))


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API of a Prefect server that outlives commands; its start is a tenth of a tiny record's time. The settings of
    this process don't have it. All of pytest's workers have this one: it ends with the last of them."""
    own = tmp_path_factory.getbasetemp()
    with common_server(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) as url:
        yield url


@pytest.fixture
def shared_server(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of this test use it."""
    monkeypatch.setattr(seconds, "SERVER", prefect_server)


@pytest.fixture(scope="session")
def tiny_artifact(tmp_path_factory: pytest.TempPathFactory) -> artifacts.Made:
    """An artifact of a random model over `tiny_data`'s vocabulary, and the knobs of its record."""
    return artifacts.make(tmp_path_factory.mktemp("artifact"))
