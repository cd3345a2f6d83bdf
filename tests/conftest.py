"""Fixtures that several test folders share."""

import pytest

from pgolf.data.dataset import Dataset
from pgolf.data.pydocs import build


@pytest.fixture(scope="session")
def tiny_data(request: pytest.FixtureRequest) -> Dataset:
    """About 400 KB of the standard library's docstrings, 512 pieces; made in seconds, kept between runs."""
    packages = ("argparse", "asyncio", "email", "idlelib", "logging", "statistics", "tarfile", "unittest")
    packages += ("_pydecimal", "difflib", "multiprocessing", "typing")
    return build(request.config.cache.mkdir("tiny-data"), packages=packages, vocab_size=512)
