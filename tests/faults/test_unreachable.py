"""A record whose image starts no sshd: three pods are paid for, and no more, whatever its seeds and their retries."""

import json
from pathlib import Path

import pytest
from fakes.account import FakeRunpod
from fakes.programs import PROGRAMS
from scenarios import TIMEOUT_S, Ground, rented, running, shortened

from pgolf.data.dataset import Dataset

pytestmark = pytest.mark.record


def test_image_without_sshd_costs_three_pods_and_the_record_says_why(
    account: FakeRunpod, tiny_data: Dataset, prefect_server: str, tmp_path: Path
) -> None:
    options = ("--program", str(PROGRAMS / "bad.py"), "--against", "9.0,9.1,9.05")
    ground = Ground(PROGRAMS / "track.toml", tiny_data, account, {}, tmp_path, prefect_server, options=options)
    runs_dir = tmp_path / "unreachable"
    command = shortened(ground, runs_dir, ready_patience_s=5.0)
    account.tell("misbehave", no_sshd=99)
    try:
        with running(ground, command, runs_dir / "err") as process:
            stdout, _ = process.communicate(timeout=TIMEOUT_S)
    finally:
        account.tell("misbehave", no_sshd=0)
    stderr = (runs_dir / "err").read_text()
    assert (process.returncode, stdout) == (1, ""), stderr
    said = stderr.rstrip().splitlines()[-1]
    for words in ("3 machines in a row (pod-", "no answer by SSH", "NVIDIA H100 80GB HBM3", "/start.sh"):
        assert words in said
    assert "Traceback" not in stderr
    assert len(rented(ground, runs_dir)) == 3
    assert not account.alive()
    manifest = json.loads((runs_dir / "unreachable/manifest.json").read_text())
    assert len(manifest["pods"]) == 3
    assert manifest["cost"] > 0
    slots = [json.loads(path.read_text()) for path in (runs_dir / "unreachable/pods").glob("*.json")]
    assert all(slot["settled"] for slot in slots)  # the same command tries three more
