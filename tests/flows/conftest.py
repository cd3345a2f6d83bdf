"""A Prefect server that commands share where it is not what is tested: its start is a tenth of a tiny record's time."""

from collections.abc import Iterator

import pytest
import seconds
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.server import prefect_api


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of its API; the settings of this process don't have it."""
    with prefect_api(tmp_path_factory.mktemp("prefect")) as wait:
        wait()
        url = str(PREFECT_API_URL.value())
        with temporary_settings(restore_defaults={PREFECT_API_URL}):
            yield url


@pytest.fixture
def shared_server(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of this test use it."""
    monkeypatch.setattr(seconds, "SERVER", prefect_server)
