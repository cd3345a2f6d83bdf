"""Fixtures that several test folders share."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import artifacts
import pytest
import seconds
from filelock import FileLock
from seconds import PACKAGES, TINY, Made, measured_track, record

from pgolf.data.dataset import Dataset
from pgolf.data.pydocs import build
from pgolf.files import write_json

if not hasattr(sys.modules["__main__"], "__file__"):  # in a worker of pytest-xdist
    sys.modules["__main__"].__file__ = pytest.__file__  # trainers that run in this process measure their code
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a script's background; commands here are sent Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
    this process don't have it."""
    from pgolf.flows.server import prefect_api
    from prefect.settings import PREFECT_API_URL, temporary_settings  # takes seconds

    with prefect_api(tmp_path_factory.mktemp("prefect")) as wait:
        wait()
        url = str(PREFECT_API_URL.value())
        with temporary_settings(restore_defaults={PREFECT_API_URL}):
            yield url


@pytest.fixture
def shared_server(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of this test use it."""
    monkeypatch.setattr(seconds, "SERVER", prefect_server)


@pytest.fixture(scope="session")
def tiny_artifact(tmp_path_factory: pytest.TempPathFactory) -> artifacts.Made:
    """An artifact of a random model over `tiny_data`'s vocabulary, and the knobs of its record."""
    return artifacts.make(tmp_path_factory.mktemp("artifact"))
