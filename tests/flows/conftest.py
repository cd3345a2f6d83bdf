"""For tests of commands that bring a Prefect server where none is given, and where that is not what is tested."""

import pytest
import seconds


@pytest.fixture
def shared_server(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of this test use it."""
    monkeypatch.setattr(seconds, "SERVER", prefect_server)
