"""A network volume is filled by a pod without GPUs, once, and a record rents its GPUs when it is whole."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import jobs
import pytest
from data.hub import COMMIT, Hub
from fakes.account import MISSING as NO_DOCUMENT
from fakes.account import OPENAPI, FakeRunpod
from fakes.light import light_python
from fakes.sshd import MISSING, SSHD

from pgolf.errors import BadInput, RunFailed
from pgolf.files import sha256_file
from pgolf.pods.places import Wanted, open_place
from pgolf.pods.settings import RunpodSettings, Settings, read_settings
from pgolf.pods.slots import read_slot, slot_files
from pgolf.pods.ssh import Data
from pgolf.pods.volume import fill_volume, folder_of
from pgolf.record.seeds import run_seed
from pgolf.sources import Source

pytestmark = [
    pytest.mark.record,
    pytest.mark.skipif(SSHD is None, reason=MISSING),
    pytest.mark.skipif(not OPENAPI.exists(), reason=NO_DOCUMENT),
]
REPO = "someone/text"
VOLUME = "agv6w2qcg7"
FILES = {f"datasets/x/{name}.bin": os.urandom(200_000) for name in ("fineweb_train_0", "fineweb_val_0")}


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeRunpod]:
    with FakeRunpod(tmp_path_factory.mktemp("account")) as server:
        yield server
        assert not server.ledger()["faults"]


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(REPO, FILES) as server:
        yield server


@pytest.fixture
def data(tmp_path: Path, hub: Hub) -> Data:
    for name, content in FILES.items():
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(content)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    return Data(tmp_path / "data", hashes, (), source=Source(f"{hub.endpoint}/datasets/{REPO}/resolve/{COMMIT}/"))


def settings(account: FakeRunpod, tmp_path: Path) -> RunpodSettings:
    python = light_python(tmp_path / "light")
    return read_settings(account.pods_file(tmp_path / "pods.toml", python=python)).runpod


def whole(account: FakeRunpod, volume: str, data: Data) -> bool:
    there = account.folder / f"volume-{volume}" / data.folder
    return all((there / n).is_file() and sha256_file(there / n) == sha256 for n, sha256 in data.files.items())


def test_volume_is_filled_by_a_pod_without_gpus_and_only_once(account, tmp_path, data, hub) -> None:
    runs, rules, before = tmp_path / "runs", settings(account, tmp_path), len(account.pods())
    filled = fill_volume(VOLUME, data, rules, account.key, runs)
    assert whole(account, VOLUME, data) and not account.alive()
    assert [one.way for one in filled.staged] == ["web"] and not filled.known
    assert hub.bytes_sent == filled.bytes == 400_000
    (pod,) = account.pods()[before:]
    folder = folder_of(runs, VOLUME, data)
    assert pod["name"].startswith(f"pgolf.tests.{folder.name}.pod-1.")
    (slot,) = map(read_slot, slot_files(folder))
    assert slot["staged"][0]["bytes"] == 400_000 and "ended" in slot
    again = fill_volume(VOLUME, data, rules, account.key, runs)
    assert again.known and len(account.pods()) == before + 1 and hub.bytes_sent == 400_000
    name = next(iter(FILES))
    (account.folder / f"volume-{VOLUME}" / data.folder / name).write_bytes(b"somebody was here")
    looked = fill_volume(VOLUME, data, rules, account.key, runs, again=True)
    assert whole(account, VOLUME, data) and looked.staged[0].bytes == 200_000 and hub.bytes_sent == 600_000
    assert not account.alive()


def test_filling_that_is_stopped_goes_on_and_leaves_no_pod(account, tmp_path, data, hub) -> None:
    runs, rules, stop = tmp_path / "runs", settings(account, tmp_path), threading.Event()
    hub.pause_s = 1.5
    threading.Thread(target=lambda: (wait_for(lambda: hub.bytes_sent > 60_000), stop.set()), daemon=True).start()
    with pytest.raises(RunFailed, match="stopped"):
        fill_volume("stopped1", data, rules, account.key, runs, stop=stop)
    assert not account.alive() and not whole(account, "stopped1", data)
    hub.pause_s = 0.0
    filled = fill_volume("stopped1", data, rules, account.key, runs)
    assert not filled.known and whole(account, "stopped1", data) and not account.alive()


def wait_for(what, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_source_that_is_gone_ends_it_without_a_second_pod(account, tmp_path, data, hub) -> None:
    before = len(account.pods())
    hub.gone.update(FILES)
    filled = fill_volume("sent1", data, settings(account, tmp_path), account.key, tmp_path / "runs")
    assert [one.way for one in filled.staged] == ["here"], "a cheap pod may be sent any number of bytes"
    assert len(account.pods()) == before + 1 and not account.alive()


@pytest.mark.parametrize("volume", ["../x", "", "a b", "x" * 65])
def test_id_that_is_none(account, tmp_path, data, volume: str) -> None:
    with pytest.raises(BadInput, match="not the id of a network volume"):
        fill_volume(volume, data, settings(account, tmp_path), account.key, tmp_path / "runs")


def test_record_fills_its_volume_first_and_one_pod_gets_the_data_once(account, tmp_path, data, hub) -> None:
    before, rules = len(account.pods()), settings(account, tmp_path)
    large = rules.staging.model_copy(update={"send_most_gb": 0.0})
    rent = rules.rent.model_copy(update={"network_volume_id": "record1"})
    wanted = Wanted(
        "runpod", 1, False, 5.0, None, Settings(runpod=rules.model_copy(update={"staging": large, "rent": rent}))
    )
    record = (tmp_path / "runs/record").resolve()
    here = jobs.job(record / "seeds", "print(open('x').read()) if 0 else print('done')")
    stop = threading.Event()
    with open_place(wanted, record, data, stop, ranks=1, runs=2, seed_hours=0.1, key=account.key) as opened:
        assert whole(account, "record1", data) and not account.alive(), "no GPU is rented before it is whole"
        for seed in (42, 314):
            run_seed(here, seed, stop, place=opened.place)
    assert not account.alive() and hub.bytes_sent == 400_000
    pods = account.pods()[before:]
    assert [p["name"].split(".")[-2] for p in pods] == ["pod-1", "pod-1"], "one that fills, one for both seeds"
    (slot,) = map(read_slot, slot_files(record))
    assert slot["staged"] == [], "a volume that is whole is only looked at"


def test_pod_without_a_volume_gets_the_data_once_for_all_its_seeds(account, tmp_path, data, hub) -> None:
    wanted = Wanted("runpod", 1, False, 5.0, None, Settings(runpod=settings(account, tmp_path)))
    record, stop = (tmp_path / "runs/record").resolve(), threading.Event()
    with open_place(wanted, record, data, stop, ranks=1, runs=2, seed_hours=0.1, key=account.key) as opened:
        for seed in (42, 314):
            run_seed(jobs.job(record / "seeds", "print('done')"), seed, stop, place=opened.place)
    (slot,) = map(read_slot, slot_files(record))
    assert [one["bytes"] for one in slot["staged"]] == [400_000] and hub.bytes_sent == 400_000


def test_dataset_that_no_pod_can_fetch_rents_nothing(account, tmp_path, data) -> None:
    before, rules = len(account.pods()), settings(account, tmp_path)
    large = rules.model_copy(update={"staging": rules.staging.model_copy(update={"send_most_gb": 0.0})})
    wanted = Wanted("runpod", 1, False, None, None, Settings(runpod=large))
    alone = Data(data.root, data.files, ())
    with (
        pytest.raises(BadInput, match=r"has no source that pods could fetch it from, and 0.0 GB are too much"),
        open_place(wanted, tmp_path / "r", alone, threading.Event(), ranks=1, runs=1, seed_hours=0.1, key=account.key),
    ):
        pass
    assert len(account.pods()) == before


def test_the_command(account, tmp_path, tiny_data) -> None:
    python = light_python(tmp_path / "light")
    pods_file = account.pods_file(tmp_path / "pods.toml", python=python)
    line = [str(Path(sys.executable).with_name("pgolf")), "pods", "stage", "--pods-file", str(pods_file)]
    line += ["--data-dir", str(tiny_data.data_dir), "--runs-dir", str(tmp_path / "runs")]
    env = os.environ | {"RUNPOD_API_KEY": account.key}
    refused = subprocess.run(line, env=env, capture_output=True, text=True)
    assert refused.returncode == 2 and "network_volume_id" in refused.stderr
    done = subprocess.run([*line, "--volume", "command1"], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "whole in wörk/data/" in done.stdout and "came from this machine in" in done.stdout
    again = subprocess.run([*line, "--volume", "command1", "--json"], env=env, capture_output=True, text=True)
    assert json.loads(again.stdout)["known"] is True
    assert not account.alive()
