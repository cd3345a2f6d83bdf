"""Faults, one after another, each on a record of its own: three seeds on pods of a fake RunPod account. Seeds train,
unless the ground has runs that they replay.

A fault counts as survived when the record ends with the verdict and the scores of an undisturbed one, no finished
seed has run again, every file is what the manifest says, and no pod is left by the fake's own ledger.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import replay
from fakes.account import FakeRunpod
from seconds import environment, record_command

from pgolf.data.dataset import Dataset
from pgolf.files import sha256_file

ORCHESTRATOR = Path(__file__).with_name("orchestrator.py")
TIMEOUT_S = 1500  # of a busy machine; pytest has a shorter one
DROP_S = 60  # how long the network is gone


@dataclass(frozen=True)
class Result:
    """What came of a fault. `recover_s`: from the restart, or from the fault's end, to the submission."""

    fault: str
    tried: int
    survived: int
    seeds_repeated: int
    recover_s: float
    pods_left: int
    why: str = ""
    rented: int = 0  # machines, over the whole record

    def as_json(self) -> dict[str, Any]:
        row = asdict(self)
        del row["why"]
        return row


@dataclass(frozen=True)
class Ground:
    """What all faults share: a track, a dataset, the account, and the outcome of an undisturbed record."""

    track: Path
    data: Dataset | Path
    account: FakeRunpod
    expected: dict[str, Any]
    folder: Path
    prefect: str  # the API of a Prefect server that outlives them all; '': each has its own
    runs: Path | None = None  # what seeds replay
    options: tuple[str, ...] = ()  # of every record

    def command(self, runs_dir: Path, *more: str) -> list[str]:
        runs_dir.mkdir(parents=True, exist_ok=True)
        pods_file = self.account.pods_file(runs_dir / "pods.toml")
        return record_command(
            self.track, self.data, runs_dir, "--id", runs_dir.name, "--pods", "runpod", "--pods-file", str(pods_file),
            "--max-cost", "50", "--max-hours", "4", "--no-probe", "--foreground", *self.options, *more,
        )  # fmt: skip

    def environment(self) -> dict[str, str]:
        server = {"PREFECT_API_URL": self.prefect} if self.prefect else {}
        return environment() | server | {"RUNPOD_API_KEY": self.account.key, "OMP_NUM_THREADS": "1"}


def shortened(ground: Ground, runs_dir: Path, **nets: float) -> list[str]:
    """The command of a record, replayed, whose pods.toml has other times for its nets and its patience."""
    command = replayed(ground, ground.command(runs_dir))
    lines = (runs_dir / "pods.toml").read_text().splitlines()
    for name, seconds in nets.items():
        (at,) = (i for i, line in enumerate(lines) if line.startswith(f"{name} ="))
        lines[at] = f"{name} = {seconds}"
    (runs_dir / "pods.toml").write_text("\n".join(lines) + "\n")
    return command


def replayed(ground: Ground, command: list[str]) -> list[str]:
    """The command, of a record whose seeds replay the ground's runs, if it has any."""
    return replay.command(ground.runs, command) if ground.runs else command


@contextmanager
def running(
    ground: Ground, command: list[str], log: Path, more: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """The command, its standard error in `log`; killed at the end if it still runs."""
    with log.open("a") as err:
        process = subprocess.Popen(
            command,
            env=ground.environment() | dict(more or {}),
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        assert process.stdout
        process.stdout.close()


def killed_at(ground: Ground, point: str) -> Result:
    """The orchestrator gets SIGKILL at `point`; the same command is started again."""
    runs_dir = ground.folder / "".join(c if c.isalnum() else "-" for c in point)
    command = ground.command(runs_dir)
    deadly = [sys.executable, str(ORCHESTRATOR), point, *command[1:]]
    if ground.runs:
        deadly[3:3] = ["--replay", str(ground.runs)]
        command = replay.command(ground.runs, command)
    with running(ground, deadly, runs_dir / "first.err") as first:
        first.communicate(timeout=TIMEOUT_S)
    if first.returncode != -9:
        return Result(f"kill -9 {point}", 1, 0, 0, 0.0, len(ground.account.alive()), "the point was not reached")
    began = time.monotonic()
    with running(ground, command, runs_dir / "second.err") as second:
        stdout, _ = second.communicate(timeout=TIMEOUT_S)
    return judged(ground, f"kill -9 {point}", runs_dir, second.returncode, stdout, time.monotonic() - began)


def disturbed(
    ground: Ground, name: str, disturb: Callable[[Ground, Path], None], runs_dir: Path | None = None
) -> Result:
    """A fault while seed 42 trains, that the running orchestrator has to get over by itself."""
    runs_dir = runs_dir or ground.folder / name.replace(" ", "-")
    command = replayed(ground, ground.command(runs_dir))
    with running(ground, command, runs_dir / "first.err") as process:
        wait_for(lambda: events_of(runs_dir, 42), process)
        disturb(ground, runs_dir)
        began = time.monotonic()
        stdout, _ = process.communicate(timeout=TIMEOUT_S)
    return judged(ground, name, runs_dir, process.returncode, stdout, time.monotonic() - began)


def judged(ground: Ground, name: str, runs_dir: Path, code: int, stdout: str, seconds: float) -> Result:
    folder, why = runs_dir / runs_dir.name, []
    if code != 0:
        why.append(f"exit code {code}, see {runs_dir}/*.err")
    else:
        outcome = json.loads(stdout)
        for key in ("positive",):
            if outcome[key] != ground.expected[key]:
                why.append(f"{key} is {outcome[key]}")
        if scores(outcome) != scores(ground.expected):
            why.append("other scores")
        listed = json.loads((folder / "manifest.json").read_text())["files"]
        why += [f"{f} is not what the manifest says" for f, sha in listed.items() if sha256_file(folder / f) != sha]
    repeated = sum(len(finished) - 1 for finished in finishes(folder).values() if finished)
    if repeated:
        why.append(f"{repeated} finished seeds ran again")
    left, faults = ground.account.alive(), ground.account.ledger()["faults"]
    if left:
        why.append(f"pods left: {left}")
    why += faults
    pods = len(rented(ground, runs_dir))
    return Result(name, 1, int(not why), repeated, round(seconds, 1), len(left), "; ".join(why), pods)


def rented(ground: Ground, runs_dir: Path) -> list[dict[str, Any]]:
    """Every pod that was ever rented for a record."""
    slots = (runs_dir / runs_dir.name / "pods").glob("pod-*.json")
    names = {json.loads(path.read_text())["name"] for path in slots}
    return [pod for pod in ground.account.pods() if pod["name"] in names]


def scores(outcome: dict[str, Any]) -> list[tuple[int, float, int]]:
    return [(s["seed"], round(s["val_bpb"], 8), s["artifact_bytes"]) for s in outcome["seeds"]]


def finishes(record: Path) -> dict[str, list[Path]]:
    """The attempts that came to their end well, by seed."""
    found: dict[str, list[Path]] = {}
    for path in record.glob("seeds/*/attempt-*/exit.json"):
        if json.loads(path.read_text())["exit_code"] == 0:
            found.setdefault(path.parts[-3], []).append(path.parent)
    return found


def events_of(runs_dir: Path, seed: int) -> list[Path]:
    paths = (runs_dir / runs_dir.name / "seeds" / str(seed)).glob("attempt-*/events.jsonl")
    return [path for path in paths if path.stat().st_size]


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert process.poll() is None, "the record ended before that"
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def pod_of(ground: Ground, runs_dir: Path) -> str:
    """The pod that seed 42 is on."""
    record = runs_dir / runs_dir.name
    slot = json.loads((record / "seeds/42/attempt-1/place.json").read_text())["slot"]
    return str(json.loads((record / f"pods/{slot}.json").read_text())["pod_id"])


def pod_dies(ground: Ground, runs_dir: Path) -> None:
    ground.account.tell("kill", id=pod_of(ground, runs_dir))


def spot_taken(ground: Ground, runs_dir: Path) -> None:
    ground.account.tell("spot", id=pod_of(ground, runs_dir))


def network_drops(seconds: float = DROP_S) -> Callable[[Ground, Path], None]:
    def drop(ground: Ground, runs_dir: Path) -> None:
        pods = [pod["id"] for pod in ground.account.alive()]
        for pod in pods:
            ground.account.tell("cut", id=pod, cut=True)
        time.sleep(seconds)
        for pod in pods:
            ground.account.tell("cut", id=pod, cut=False)

    return drop


def api_restarts(ground: Ground, runs_dir: Path) -> None:
    ground.account.tell("restart", seconds=15.0)


def pod_disk_fills(ground: Ground, runs_dir: Path) -> None:
    ground.account.tell("fill", id=pod_of(ground, runs_dir))


def own_disk_fills(ground: Ground, runs_dir: Path) -> None:
    """The disk here is full from now until a finished seed has found it so."""
    filler = runs_dir / "filler"
    try:
        with filler.open("wb", buffering=0) as f:
            while True:
                f.write(bytes(4096))
    except OSError:
        pass
    time.sleep(20)
    filler.unlink()


@contextmanager
def small_disk(folder: Path, megabytes: int = 400) -> Iterator[Path]:
    """A disk of its own, mounted on `folder`, with room for what a record asks for at its start; only root may."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def can_mount() -> bool:
    return os.geteuid() == 0


def full_disk_here(ground: Ground) -> Result:
    with small_disk(ground.folder / "full-disk-here") as runs_dir:
        return disturbed(ground, "disk here full for 20 s", own_disk_fills, runs_dir)


def full_disk_there(ground: Ground) -> Result:
    ground.account.tell("misbehave", small_disk=3)
    try:
        return disturbed(ground, "disk of a pod fills in training", pod_disk_fills)
    finally:
        ground.account.tell("misbehave", small_disk=0)
