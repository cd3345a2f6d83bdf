"""Rented pods through faults: a few in every test run, all of them with `make faults`."""

import contextlib
import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from hostile import ROWS
from orchestrator import IN_A_CHARACTER, POINTS, find
from scenarios import (
    Ground,
    api_restarts,
    can_mount,
    disturbed,
    full_disk_here,
    full_disk_there,
    judged,
    killed_at,
    network_drops,
    pod_dies,
    running,
    spot_taken,
)

from pgolf.files import sha256_file

pytestmark = pytest.mark.record
ALL = os.environ.get("PGOLF_ALL_FAULTS") == "1"  # `make faults`
A_FEW = ("after the first create, its id unknown",)
whole_matrix = pytest.mark.skipif(not ALL, reason="with `make faults` (PGOLF_ALL_FAULTS=1)")
as_root = pytest.mark.skipif(not can_mount(), reason="a small disk has to be mounted: only root may")


@dataclass
class OnPods:
    """A record on three pods: its folder of records, what it printed, and the command lines seen meanwhile."""

    runs_dir: Path
    code: int
    stdout: str
    listed: set[str]

    @property
    def stderr(self) -> str:
        return (self.runs_dir / "err").read_text()


HUB_TOKEN = "hf_planted-token-51c0"


@pytest.fixture(scope="module")
def on_pods(ground: Ground) -> OnPods:
    """A record that nothing disturbs, with secrets around it."""
    runs_dir = ground.folder / "undisturbed"
    listed, stdout, deadline = command_lines(), None, time.monotonic() + 400
    with running(ground, ground.command(runs_dir), runs_dir / "err", {"HF_TOKEN": HUB_TOKEN}) as process:
        while stdout is None:
            assert time.monotonic() < deadline, (runs_dir / "err").read_text()
            with contextlib.suppress(subprocess.TimeoutExpired):
                stdout, _ = process.communicate(timeout=0.5)
            listed |= command_lines()
    return OnPods(runs_dir, process.returncode, stdout, listed)


def test_record_on_three_pods_is_the_record_made_here(ground: Ground, made, on_pods: OnPods) -> None:
    runs_dir, stdout = on_pods.runs_dir, on_pods.stdout
    result = judged(ground, "none", runs_dir, on_pods.code, stdout, 0.0)
    assert result.survived, result.why + on_pods.stderr
    here, there = Path(made.outcome["path"]), Path(json.loads(stdout)["path"])
    assert (there / "train_gpt.py").read_bytes() == (here / "train_gpt.py").read_bytes()
    here_too = {p.name for p in here.iterdir()} - {"probes.jsonl"}  # the pods' record was told not to probe
    assert {p.name for p in there.iterdir()} == here_too
    artifacts = [f"seeds/{seed}/attempt-1/final_model.int6.ptz" for seed in (42, 314, 999)]
    record = runs_dir / "undisturbed"
    assert [sha256_file(record / a) for a in artifacts] == [sha256_file(made.folder / a) for a in artifacts]
    manifest = json.loads((record / "manifest.json").read_text())
    assert len(manifest["pods"]) == 3
    assert manifest["cost"] == pytest.approx(sum(pod["cost"] for pod in manifest["pods"]), abs=0.001)
    assert manifest["cost"] > 0


def test_secrets_are_in_no_file_no_process_list_and_not_in_prefect(ground: Ground, on_pods: OnPods) -> None:
    assert on_pods.code == 0, on_pods.stderr
    private = (on_pods.runs_dir / "id_ed25519").read_text().splitlines()[1]
    kept = b"".join(p.read_bytes() for p in on_pods.runs_dir.rglob("*") if p.is_file() and p.name != "id_ed25519")
    told = "".join(
        httpx.post(f"{ground.prefect}/{kind}/filter", json={}).raise_for_status().text
        for kind in ("flow_runs", "task_runs", "logs", "artifacts", "variables", "block_documents")
    )
    there = b"".join(p.read_bytes() for p in ground.account.folder.rglob("*.log") if p.is_file())
    assert "seed 42: started" in told  # it is this record that Prefect tells of
    assert any("train_gpt.py" in line for line in on_pods.listed)
    for secret in (ground.account.key, HUB_TOKEN, private):
        assert secret not in on_pods.stdout + told + "".join(on_pods.listed)
        assert secret.encode() not in kept + there


def command_lines() -> set[str]:
    """Of every process of this machine."""
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            found.add(" ".join(process.cmdline()))
    return found


def test_every_point_is_a_function_of_the_code() -> None:
    """Also where `make faults` does not run: a function that has moved is no point any more."""
    for point in POINTS:
        owner, name = find(point)
        assert callable(getattr(owner, name)), point


@pytest.mark.parametrize("point", POINTS)
def test_orchestrator_killed(ground: Ground, point: str) -> None:
    if not ALL and point not in A_FEW:
        pytest.skip("with `make faults` (PGOLF_ALL_FAULTS=1)")
    result = killed_at(ground, point)
    assert result.survived, result.why


@whole_matrix
def test_orchestrator_killed_in_a_character(ground: Ground) -> None:
    result = killed_at(ground, IN_A_CHARACTER)
    assert result.survived, result.why


@whole_matrix
def test_pod_dies_in_training(ground: Ground) -> None:
    result = disturbed(ground, "a pod dies in training", pod_dies)
    assert result.survived, result.why


@whole_matrix
def test_spot_pod_is_taken_away(ground: Ground) -> None:
    result = disturbed(ground, "a spot pod is taken away", spot_taken)
    assert result.survived, result.why


@whole_matrix
def test_network_drops(ground: Ground) -> None:
    result = disturbed(ground, "network gone for 60 s", network_drops())
    assert result.survived, result.why


@whole_matrix
def test_api_restarts(ground: Ground) -> None:
    result = disturbed(ground, "the API restarts", api_restarts)
    assert result.survived, result.why


@whole_matrix
@as_root
def test_disk_here_fills(ground: Ground) -> None:
    result = full_disk_here(ground)
    assert result.survived, result.why


@whole_matrix
@as_root
def test_disk_of_a_pod_fills(ground: Ground) -> None:
    result = full_disk_there(ground)
    assert result.survived, result.why


@whole_matrix
@pytest.mark.parametrize("name", ROWS)
def test_machines_that_do_no_work_or_lie(ground: Ground, name: str) -> None:
    result = ROWS[name](ground)
    assert result.survived, result.why
