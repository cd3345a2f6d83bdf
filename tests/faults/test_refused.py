"""A record whose account may not rent: it asks once, and ends with the API's own words."""

from pathlib import Path

import pytest
from fakes.account import FakeRunpod
from fakes.programs import PROGRAMS
from fakes.runpod_api import REFUSED
from scenarios import TIMEOUT_S, Ground, running
from test_pods import whole_matrix

from pgolf.data.dataset import Dataset

pytestmark = pytest.mark.record
SEEDS = 3


@pytest.fixture(scope="module")
def ground(
    account: FakeRunpod, tiny_data: Dataset, prefect_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Ground:
    """The account, and a program that trains nothing."""
    folder = tmp_path_factory.mktemp("refused")
    options = ("--program", str(PROGRAMS / "bad.py"), "--against", "9.0,9.1,9.05")
    return Ground(PROGRAMS / "track.toml", tiny_data, account, {}, folder, prefect_server, options=options)


@pytest.mark.parametrize(("at_once", "most"), [pytest.param(1, 1, marks=whole_matrix), (SEEDS, SEEDS)])
def test_create_that_is_refused_for_good_is_asked_for_once(ground: Ground, at_once: int, most: int) -> None:
    """Else each seed asks for eight machines, and the flow starts each of them three times."""
    runs_dir, account = Path(ground.folder / f"{at_once}-at-once"), ground.account
    before = len(account.ledger()["requests"])
    account.tell("misbehave", refused=1000)
    try:
        with running(ground, ground.command(runs_dir, "--pods-at-once", str(at_once)), runs_dir / "err") as process:
            stdout, _ = process.communicate(timeout=TIMEOUT_S)
    finally:
        account.tell("misbehave", refused=0)
    stderr = (runs_dir / "err").read_text()
    assert process.returncode == 2, stderr
    assert stdout == ""
    assert stderr.rstrip().splitlines()[-1].endswith(f"RunPod refuses for good: POST /pods: 500: {REFUSED}")
    assert "Traceback" not in stderr
    asked = account.ledger()["requests"][before:]
    assert 1 <= asked.count("POST /pods") <= most
    assert not account.alive()
