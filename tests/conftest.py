"""Fixtures that several test folders share."""

from pathlib import Path

import artifacts
import pytest
from seconds import TINY, Made, record

from pgolf.data.dataset import Dataset
from pgolf.data.pydocs import build


@pytest.fixture(scope="session")
def tiny_data(request: pytest.FixtureRequest) -> Dataset:
    """About 400 KB of the standard library's docstrings, 512 pieces; made in seconds, kept between runs."""
    packages = ("argparse", "asyncio", "email", "idlelib", "logging", "statistics", "tarfile", "unittest")
    packages += ("_pydecimal", "difflib", "multiprocessing", "typing")
    return build(request.config.cache.mkdir("tiny-data"), packages=packages, vocab_size=512)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_data: Dataset) -> Made:
    """The record of tiny_track.toml, its standing record measured on the way."""
    code, made, stderr = record(TINY / "tiny_track.toml", tiny_data, tmp_path_factory.mktemp("runs"))
    assert made, stderr
    assert code == 0, made.outcome["reasons"]
    return made


@pytest.fixture(scope="session")
def tiny_track(tmp_path_factory: pytest.TempPathFactory, made: Made) -> Path:
    """tiny_track.toml with that standing record as a ledger entry: only the seeds of a record itself have to run."""
    text = (TINY / "tiny_track.toml").read_text()
    for name, path in {
        "tiny-standing.json": made.folder / "baseline/standing.json",
        "tiny.toml": TINY / "tiny.toml",
    }.items():
        text = text.replace(f'"{name}"', f'"{path}"')
    path = tmp_path_factory.mktemp("track") / "tiny_track.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="session")
def tiny_artifact(tmp_path_factory: pytest.TempPathFactory) -> artifacts.Made:
    """An artifact of a random model over `tiny_data`'s vocabulary, and the knobs of its record."""
    return artifacts.make(tmp_path_factory.mktemp("artifact"))
