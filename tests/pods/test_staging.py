"""A dataset comes to a machine: it fetches by itself from a hub or a folder on this machine, over a real sshd."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

import psutil
import pytest
from data.hub import COMMIT, Hub
from fakes.light import light_python
from fakes.network import Wire
from fakes.sshd import MISSING, SSHD, USER, Sshd

from pgolf.errors import BadInput, RunFailed
from pgolf.files import sha256_file
from pgolf.pods import Gone, fetching
from pgolf.pods.machine import Address, Machine, Refused, ensure_key
from pgolf.pods.settings import Staging
from pgolf.pods.slots import Unfit
from pgolf.pods.ssh import Data
from pgolf.pods.staging import checked, job_of, stage_data
from pgolf.sources import Source

pytestmark = [pytest.mark.record, pytest.mark.skipif(SSHD is None, reason=MISSING)]
REPO = "someone/text"
SHARDS = ("train_000000", "train_000001", "val_000000")
ANY, NOTHING = float("inf"), 0.0  # bytes that may be sent from here


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "id_ed25519"


@pytest.fixture
def sshd(tmp_path: Path, key: Path) -> Iterator[Sshd]:
    server = Sshd(tmp_path / "there", ensure_key(key))
    yield server
    server.stop()


class Counted(Machine):
    """A machine that knows which files it was sent."""

    def put(self, source: Path, target, executable: bool = False) -> None:
        self.__dict__.setdefault("sent", []).append(source.name)
        super().put(source, target, executable)


def machine(sshd: Sshd, key: Path, port: int | None = None) -> Counted:
    address = Address("127.0.0.1", port or sshd.port, USER, key, key.with_name("pins"))
    there = Counted("there", address, "wörk", light_python(key.with_name("light")), threading.Event(), 30.0)
    there.install()
    return there


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    """The dataset's files, by their paths here; they are in the folder `data`."""
    found = {f"datasets/x/fineweb_{name}.bin": os.urandom(300_000) for name in SHARDS}
    found["tokenizers/x.model"] = b"pieces"
    for name, content in found.items():
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(content)
    return found


def on_hub(files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"deep/{name}": content for name, content in files.items()}


def data_of(tmp_path: Path, files: dict[str, bytes], source: Source | None) -> Data:
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return Data(tmp_path / "data", hashes, source=source)


def hub_source(files: dict[str, bytes]) -> Source:
    return Source(f"hf://{REPO}@{COMMIT}", {name: f"deep/{name}" for name in files})


def arrived(sshd: Sshd, data: Data) -> bool:
    there = sshd.home / "wörk" / data.folder
    return all((there / name).is_file() and sha256_file(there / name) == sha256 for name, sha256 in data.files.items())


def leftovers(sshd: Sshd) -> list[Path]:
    return [path for path in (sshd.home / "wörk/data").iterdir() if path.name.startswith(".")]


def fetchers(sshd: Sshd) -> list[int]:
    """Processes that fetch for this machine."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            if "run" in words and any("fetching.py" in w for w in words) and str(sshd.home) in words[-1]:
                found.append(process.pid)
    return found


def test_pod_fetches_from_the_hub_and_is_sent_nothing(tmp_path, sshd, key, files, monkeypatch) -> None:
    data, there = data_of(tmp_path, files, hub_source(files)), machine(sshd, key)
    with Hub(REPO, on_hub(files)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        (staged,) = stage_data(there, data, Staging(), NOTHING)
        total = sum(map(len, files.values()))
        assert (staged.way, staged.bytes, hub.bytes_sent) == ("hub", total, total)
        assert arrived(sshd, data) and not leftovers(sshd)
        assert there.__dict__["sent"] == ["agent.py", "fetching.py"]
        assert stage_data(there, data, Staging(), NOTHING) == []
        lost = next(iter(files))
        (sshd.home / "wörk" / data.folder / lost).write_bytes(b"something else")
        (staged,) = stage_data(there, data, Staging(), NOTHING)
        assert staged.bytes == len(files[lost]) and hub.bytes_sent == total + staged.bytes and arrived(sshd, data)


def test_pod_fetches_from_a_folder_by_its_own_paths(tmp_path, sshd, key, files) -> None:
    with Hub(REPO, files, cut={"datasets/x/fineweb_val_000000.bin": 2}) as hub:
        source = Source(f"{hub.endpoint}/datasets/{REPO}/resolve/{COMMIT}/")
        data = data_of(tmp_path, files, source)
        (staged,) = stage_data(machine(sshd, key), data, Staging(), NOTHING)
        assert staged.way == "web" and arrived(sshd, data) and not leftovers(sshd)
        assert hub.bytes_sent == sum(map(len, files.values())), "a broken connection is taken up where it broke"
        assert len([name for name, _ in hub.requests if "val" in name]) == 3


@pytest.mark.parametrize("web", [False, True], ids=("hub", "folder"))
def test_source_that_lies_or_lacks_a_file(tmp_path, sshd, key, files, monkeypatch, web: bool) -> None:
    there = files if web else on_hub(files)
    bad = next(name for name in there if "val" in name)
    with Hub(REPO, there, lies={bad}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        source = Source(f"{hub.endpoint}/datasets/{REPO}/resolve/{COMMIT}/") if web else hub_source(files)
        data = data_of(tmp_path, files, source)
        with pytest.raises(RunFailed, match=r"fineweb_val_000000.bin: 300000 bytes with SHA-256 \w+ came") as failed:
            stage_data(machine(sshd, key), data, Staging(), NOTHING)
        assert "too much to send from here" in str(failed.value)
        assert not isinstance(failed.value, Gone), "another machine would be told the same lie"
        assert not (sshd.home / "wörk" / data.folder / "datasets/x/fineweb_val_000000.bin").exists()
        hub.lies.clear()
        hub.gone.add(bad)
        with pytest.raises(RunFailed, match="404"):
            stage_data(machine(sshd, key), data, Staging(), NOTHING)
        sent = machine(sshd, key)
        (staged,) = stage_data(sent, data, Staging(), ANY)
        assert staged.way == "here" and arrived(sshd, data)
        assert "fineweb_val_000000.bin" in sent.__dict__["sent"]


def test_source_that_does_not_answer_makes_a_machine_unfit(tmp_path, sshd, key, files) -> None:
    data = data_of(tmp_path, files, Source("http://127.0.0.1:9/"))
    with pytest.raises(Unfit, match=r"cannot fetch from http://127.0.0.1:9/: .*refused.*0.0 GB are too much to send"):
        stage_data(machine(sshd, key), data, Staging(), NOTHING)
    with pytest.raises(RunFailed, match="too much"):
        stage_data(machine(sshd, key), data, Staging(send_most_gb=0.0001), ANY)


def test_dataset_without_a_source_is_sent_within_the_bound(tmp_path, sshd, key, files) -> None:
    data = data_of(tmp_path, files, None)
    with pytest.raises(RunFailed, match=r"the dataset has no source; 0\.0 GB are too much to send"):
        stage_data(machine(sshd, key), data, Staging(), NOTHING)
    (staged,) = stage_data(machine(sshd, key), data, Staging(), ANY)
    assert (staged.way, staged.bytes) == ("here", sum(map(len, files.values()))) and arrived(sshd, data)


def test_lost_connection_and_killed_process_start_no_second_fetch(tmp_path, sshd, key, files) -> None:
    wire = Wire(sshd.port)
    with Hub(REPO, files, pause_s=0.3) as hub:
        data = data_of(tmp_path, files, Source(f"{hub.endpoint}/datasets/{REPO}/resolve/{COMMIT}/"))
        there, staged = machine(sshd, key, wire.port), []
        thread = threading.Thread(target=lambda: staged.extend(stage_data(there, data, Staging(), NOTHING)))
        thread.start()
        wait_for(lambda: hub.bytes_sent > 200_000)
        (first,) = fetchers(sshd)
        sshd.stop()
        sshd.start()
        time.sleep(0.2)
        assert fetchers(sshd) == [first]
        psutil.Process(first).kill()
        thread.join(60)
        assert staged and arrived(sshd, data) and not fetchers(sshd)
        assert hub.bytes_sent < 1.9 * sum(map(len, files.values())), "what had come is not fetched again"
    wire.close()


def test_two_pods_on_one_volume_send_it_the_same_file_at_once(tmp_path, sshd, key) -> None:
    source, wires = tmp_path / "shard", [Wire(sshd.port), Wire(sshd.port)]
    source.write_bytes(os.urandom(30_000_000))
    failed: list[BaseException] = []

    def send(port: int) -> None:
        try:
            machine(sshd, key.with_name("id_ed25519"), port).put(source, PurePosixPath("data/shard"))
        except BaseException as e:
            failed.append(e)

    threads = [threading.Thread(target=send, args=(wire.port,)) for wire in wires]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failed and sha256_file(sshd.home / "wörk/data/shard") == sha256_file(source)
    for wire in wires:
        wire.close()


def wait_for(what, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_time_that_is_over_and_record_that_is_stopped_leave_nothing_running(tmp_path, sshd, key, files) -> None:
    with Hub(REPO, files, pause_s=5.0) as hub:
        data = data_of(tmp_path, files, Source(f"{hub.endpoint}/datasets/{REPO}/resolve/{COMMIT}/"))
        with pytest.raises(Unfit, match="not done in 1 s"):
            stage_data(machine(sshd, key), data, Staging(seconds=1), NOTHING)
        assert not fetchers(sshd)
        there = machine(sshd, key)
        threading.Timer(1.5, there.stop.set).start()
        with pytest.raises(Gone, match="the record is being stopped"):
            stage_data(there, data, Staging(), NOTHING)
        assert not fetchers(sshd)


def test_token_goes_only_where_the_user_says_so_and_is_never_shown(tmp_path, sshd, key, files, monkeypatch, caplog):
    data, secret = data_of(tmp_path, files, hub_source(files)), "hf_secret_of_a_test"
    monkeypatch.setenv("HF_TOKEN", secret)
    monkeypatch.delenv("PGOLF_PODS_HF_TOKEN", raising=False)
    with Hub(REPO, on_hub(files), token=secret, pause_s=0.2) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        with pytest.raises(RunFailed, match="401"):
            stage_data(machine(sshd, key), data, Staging(), NOTHING)
        monkeypatch.setenv("PGOLF_PODS_HF_TOKEN", secret)
        shown: list[str] = []
        thread = threading.Thread(target=stage_data, args=(machine(sshd, key), data, Staging(), NOTHING))
        thread.start()
        while thread.is_alive():
            for pid in fetchers(sshd):
                with suppress(psutil.Error):
                    process = psutil.Process(pid)
                    shown.append(" ".join([*process.cmdline(), *process.environ().values()]))
            time.sleep(0.05)
        assert shown and arrived(sshd, data)
    kept = [path.read_text() for path in (sshd.home / ".pgolf").iterdir() if path.is_file()]
    assert not any(secret in text for text in [*shown, *kept, caplog.text])


@pytest.mark.parametrize("web", [False, True], ids=("hub", "folder"))
def test_source_that_sends_more_than_was_announced(tmp_path, sshd, key, files, monkeypatch, web: bool) -> None:
    there = {name: content + b"x" * 2_000_000 for name, content in (files if web else on_hub(files)).items()}
    with Hub(REPO, there) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        source = Source(f"{hub.endpoint}/datasets/{REPO}/resolve/{COMMIT}/") if web else hub_source(files)
        data = data_of(tmp_path, files, source)
        with pytest.raises(RunFailed, match=r"more than its \d+ bytes came|2[03]0000\d bytes with SHA-256"):
            stage_data(machine(sshd, key), data, Staging(), NOTHING)
        assert not (sshd.home / "wörk" / data.folder).exists()


def test_disk_without_room_is_said_before_anything_is_fetched(tmp_path: Path) -> None:
    file = {"name": "a", "path": "http://127.0.0.1:9/a", "sha256": "0" * 64, "size": 1 << 60}
    job = json.dumps({"web": True, "files": [file], "at_once": 1, "seconds": 60})
    (tmp_path / "data").mkdir()
    script = shutil.copy(fetching.__file__, tmp_path)  # alone, as it is on a pod

    def ask(action: str) -> dict:
        line = [sys.executable, script, action, str(tmp_path / "data/x")]
        done = subprocess.run(line, input=job, env={"HOME": str(tmp_path)}, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    ask("start")
    wait_for(lambda: ask("status")["state"] != "running")
    said = ask("status")
    assert said["state"] == "failed" and not said["permanent"]
    assert "GB are free there, 1152921504.6 are needed" in said["error"]


def test_endpoint_that_is_no_https_address_is_refused(tmp_path, files, monkeypatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://example.org")
    with pytest.raises(BadInput, match="pods fetch from https://host only"):
        job_of(data_of(tmp_path, files, None), hub_source(files), list(files), Staging())


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"state": "perfect"},
        {"state": "running", "bytes": -1},
        {"state": "running", "bytes": float("nan")},
        {"state": "running", "had": "many"},
        {"state": "done", "seconds": 1e300},
        {"state": "done", "seconds": True},
    ],
)
def test_wrong_answer_of_a_machine_is_not_believed(answer) -> None:
    with pytest.raises(BadInput):
        checked(answer)


def test_error_of_a_machine_is_short_and_plain() -> None:
    said = checked({"state": "failed", "error": "\x1b[2J" + "x" * 10_000, "permanent": "yes"})
    assert len(said.error) <= 400 and said.error.isprintable() and not said.permanent


def test_machine_that_answers_nonsense_is_refused(tmp_path, sshd, key, files) -> None:
    there = machine(sshd, key)
    python = key.with_name("liar")
    python.write_text(f'#!/bin/sh\ncase "$1" in *fetching.py) echo "{{";; *) exec "{there.python}" "$@";; esac\n')
    python.chmod(0o755)
    there.python = str(python)
    data = data_of(tmp_path, files, Source("http://127.0.0.1:9/"))
    with pytest.raises(Refused, match=r"a wrong answer to 'start' of fetching\.py"):
        stage_data(there, data, Staging(), NOTHING)
