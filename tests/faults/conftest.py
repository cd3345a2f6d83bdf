"""The ground that faults are tried on."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fakes.account import MISSING, OPENAPI, FakeRunpod
from fakes.sshd import MISSING as NO_SSHD
from fakes.sshd import SSHD
from scenarios import Ground
from seconds import Made

from pgolf.data.dataset import Dataset


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeRunpod]:
    """An account for rented pods."""
    if SSHD is None:
        pytest.skip(NO_SSHD)
    if not OPENAPI.exists():
        pytest.skip(MISSING)
    with FakeRunpod(tmp_path_factory.mktemp("account")) as running:
        yield running


@pytest.fixture(scope="session")
def ground(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_track: Path,
    tiny_data: Dataset,
    made: Made,
    prefect_server: str,
    account: FakeRunpod,
) -> Ground:
    """That account, and the record of tiny_track.toml, undisturbed on this machine, to compare with."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    folder = tmp_path_factory.mktemp("faults")
    runs = None if os.environ.get("PGOLF_ALL_FAULTS") else made.folder / "seeds"  # all of them: with the real trainer
    return Ground(tiny_track, tiny_data, account, made.outcome, folder, prefect_server, runs)
