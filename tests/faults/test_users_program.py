"""A record of a user's program on rented pods: the orchestrator gets SIGKILL while the second seed runs, and the same
command is started again; with `make faults`, it is killed everywhere. The program trains nothing; it needs a file
beside it, a package, and a setup."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.account import FakeRunpod
from fakes.programs import PROGRAMS
from fakes.runpod_api import PRICE
from orchestrator import POINTS
from scenarios import TIMEOUT_S, Ground, judged, killed_at, running, wait_for
from test_pods import whole_matrix

from pgolf.data.dataset import Dataset
from pgolf.files import hash_folder
from pgolf.pods.versions import versions_here

pytestmark = pytest.mark.record
SEEDS = (42, 314, 999)
RANKS = 2  # of the track, and so GPUs of the pod
FILES = {
    "train_gpt.py": "import brotli\nimport made_up\n\nmade_up.main()\n",
    "made_up.py": (PROGRAMS / "bad.py").read_text(),
    "requirements.txt": "brotli>=1\n",
    "setup.sh": "wc -l <made_up.py >>../../ran\n",
    "program.toml": 'command = ["python", "{script}"]\n',
}


@dataclass
class Killed:
    """A record under two orchestrators: its folder, what came of it, and the pods alive between the two."""

    ground: Ground
    folder: Path
    code: int
    stdout: str
    between: list[dict[str, Any]]

    @property
    def stderr(self) -> str:
        return (self.folder.parent / "second.err").read_text()

    @property
    def pods(self) -> list[dict[str, Any]]:
        """Every pod that was ever rented for it."""
        return [pod for pod in self.ground.account.pods() if pod["name"].startswith(f"pgolf.tests.{self.folder.name}.")]


@pytest.fixture(scope="module")
def ground(
    account: FakeRunpod, tiny_data: Dataset, prefect_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Ground:
    """The account, and what the program's record must say: every score is made up from the seed."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "mine").mkdir()
    for name, text in FILES.items():
        (folder / "mine" / name).write_text(text)
    scores = [{"seed": seed, "val_bpb": 1.9 + seed / 1000, "artifact_bytes": 6096} for seed in SEEDS]
    options = ("--program", str(folder / "mine"), "--against", "9.0,9.1,9.05")
    expected = {"positive": True, "seeds": scores}
    return Ground(PROGRAMS / "track.toml", tiny_data, account, expected, folder, prefect_server, options=options)


@pytest.fixture(scope="module")
def killed(ground: Ground) -> Killed:
    """Three seeds, one after another; the second one waits until the second orchestrator has taken it up."""
    gate, runs_dir = ground.folder / "gate", ground.folder / "users"
    settings = ("MISCHIEF=waits", "ONLY_SEED=314", f"WAITS_FOR={gate}")
    how = [word for setting in settings for word in ("--set", setting)]
    command = ground.command(runs_dir, *how, "--pods-at-once", "1")
    record = runs_dir / runs_dir.name
    log, second_err = record / "seeds/314/attempt-1/train.log", runs_dir / "second.err"
    with running(ground, command, runs_dir / "first.err") as first:
        wait_for(lambda: log.exists() and "train_loss" in log.read_text(), first)
        first.kill()
    between = ground.account.alive()
    with running(ground, command, second_err) as second:
        wait_for(lambda: re.search(r"seed 314: (still running|reused|started)", second_err.read_text()), second)
        gate.touch()
        stdout, _ = second.communicate(timeout=TIMEOUT_S)
    return Killed(ground, record, second.returncode, stdout, between)


def test_kill_9_in_the_second_seed_of_a_users_program(killed: Killed) -> None:
    result = judged(killed.ground, "kill -9 in seed 314", killed.folder.parent, killed.code, killed.stdout, 0.0)
    assert result.survived, result.why + killed.stderr
    assert "seed 42: reused" in killed.stderr
    assert "seed 314: still running since before, taken up (attempt-1)" in killed.stderr
    assert not list(killed.folder.glob("seeds/*/attempt-2"))
    submission = Path(json.loads(killed.stdout)["path"])
    assert {name: (submission / name).read_text() for name in FILES} == FILES


def test_its_pod_was_never_forgotten_and_its_cost_is_in_the_manifest(killed: Killed) -> None:
    (pod,) = killed.pods
    assert [alive["id"] for alive in killed.between] == [pod["id"]]
    manifest = json.loads((killed.folder / "manifest.json").read_text())
    (bill,) = manifest["pods"]
    assert bill["pod_id"] == pod["id"]
    assert bill["price_per_hour"] == PRICE * RANKS
    assert bill["cost"] == manifest["cost"] == pytest.approx(PRICE * RANKS * pod["seconds"] / 3600, abs=0.003)


def test_its_files_were_sent_its_setup_ran_once_and_its_versions_are_kept(killed: Killed) -> None:
    (pod,) = killed.pods
    work = killed.ground.account.folder / pod["id"] / "wörk"
    manifest = json.loads((killed.folder / "manifest.json").read_text())
    hashes = hash_folder(killed.folder / "program")
    assert hashes.keys() == FILES.keys()
    assert hashes.items() <= {k.removeprefix("program/"): v for k, v in manifest["files"].items()}.items()
    for seed in SEEDS:
        attempt = killed.folder / f"seeds/{seed}/attempt-1"
        remote = work / json.loads((attempt / "place.json").read_text())["folder"]
        assert hashes.items() <= hash_folder(remote).items()
        assert hashes.items() <= hash_folder(attempt).items()
    assert (work / "ran").read_text().split() == [str(FILES["made_up.py"].count("\n"))]
    assert manifest["machines"]["pod-1"]["versions"] == versions_here(["brotli", "torch"])


@whole_matrix
@pytest.mark.parametrize("point", POINTS)
def test_orchestrator_of_a_users_program_killed(ground: Ground, point: str) -> None:
    result = killed_at(ground, point)
    assert result.survived, result.why
