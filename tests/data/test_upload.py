"""To a hub on this machine: a dataset goes there whole, goes on after a kill, and is fetched again as it was."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hub import COMMIT, Hub

from pgolf.data import upload as uploading
from pgolf.data.fineweb import fetch
from pgolf.data.source import find_source, read_source
from pgolf.data.upload import upload
from pgolf.errors import BadInput, RunFailed

REPO = "someone/golf-data"
FOLDER = "datasets/fineweb10B_sp512"


@pytest.fixture
def tiny_data(tiny_data, tmp_path):
    """A copy: uploading writes into the manifest."""
    shutil.copytree(tiny_data.data_dir, tmp_path / "mine")
    return replace(tiny_data, data_dir=tmp_path / "mine")


@pytest.fixture(autouse=True)
def _plain_protocol(monkeypatch):
    monkeypatch.setattr("huggingface_hub._commit_api.is_xet_available", lambda: False)
    monkeypatch.setattr(uploading, "PART_FILES", 4)


def send(hub, dataset, **options):
    return upload(dataset.data_dir, hub.repo, endpoint=hub.endpoint, **options)


def test_a_dataset_is_uploaded_and_comes_back_as_it_was(tiny_data, tmp_path):
    seen = []
    with Hub(REPO, {}, made=False) as hub:
        sent = send(hub, tiny_data, private=True, progress=lambda what, done, total: seen.append((what, done, total)))
        assert hub.private and (sent.files, sent.sent) == (len(tiny_data.files), len(tiny_data.files))
        assert sent.bytes == sum((tiny_data.data_dir / name).stat().st_size for name in tiny_data.files)
        assert ("uploading", sent.bytes, sent.bytes) in seen
        assert [len(paths) for paths in hub.commits] == [4, 4, 2, 1]
        assert hub.commits[-1] == [f"{FOLDER}/manifest.json"], "the manifest says that all before it is there"
        listed = json.loads(hub.files[f"{FOLDER}/manifest.json"])["files"]
        assert (
            listed == tiny_data.files and str(tiny_data.data_dir) not in hub.files[f"{FOLDER}/manifest.json"].decode()
        )
        source = read_source(tiny_data)
        assert source == find_source(tiny_data, f"hf://{REPO}", hub.endpoint), "pods fetch it from there"
        again = send(hub, tiny_data)
        assert again.sent == 0 and len(hub.commits) == 4
        assert fetch(REPO, "sp512", tmp_path / "out", endpoint=hub.endpoint).files == tiny_data.files


def test_an_upload_that_was_stopped_goes_on(tiny_data):
    with Hub(REPO, {}) as hub:
        hub.loses = {f"{FOLDER}/fineweb_train_000002.bin"}
        with pytest.raises(RunFailed, match=r"train_000002.bin after it was uploaded; the same command goes on"):
            send(hub, tiny_data)
        hub.loses.clear()
        assert send(hub, tiny_data).sent == 1
        hub.files.clear()
        hub.refused = 1
        with pytest.raises(RunFailed, match="the same command goes on from here"):
            send(hub, tiny_data)
        hub.received.pop(next(iter(hub.received)))  # the others are not sent again
        before = dict(hub.received)
        send(hub, tiny_data)
        assert len(hub.received) == len(before) + 1


def test_nothing_of_others_is_replaced(tiny_data, tmp_path):
    path = f"{FOLDER}/fineweb_train_000003.bin"
    with Hub(REPO, {path: b"another's"}) as hub:
        with pytest.raises(BadInput, match=r"fineweb_train_000003.bin: the repository has another one"):
            send(hub, tiny_data)
        assert hub.files == {path: b"another's"} and not hub.received
        assert send(hub, tiny_data, variant="sp512_mine").sent == len(tiny_data.files)
        assert hub.files[path] == b"another's"
        hub.files["tokenizers/fineweb_512_bpe.model"] = b"another's"
        assert fetch(REPO, "sp512_mine", tmp_path / "out", endpoint=hub.endpoint).files == tiny_data.files


def test_what_cannot_be_uploaded_is_said_before_anything_is_sent(tiny_data, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(tiny_data.data_dir, broken)
    (broken / FOLDER / "fineweb_train_000001.bin").write_bytes(b"short")
    with Hub(REPO, {}) as hub:
        for folder, reason, options in (
            (tiny_data.data_dir, "golf-data is public; make it private there", {"private": True}),
            (tiny_data.data_dir, "the dataset's vocabulary has 512 tokens", {"variant": "sp8192"}),
            (tiny_data.data_dir, "must begin with sp", {"variant": "sp512/../../x"}),
            (tiny_data.data_dir, "not a repository's name", {"repo": "a/b/c"}),
            (tmp_path / "nothing", "has 0 datasets", {}),
            (broken, "fineweb_train_000001.bin", {}),
        ):
            given = {"repo": REPO, **options}
            with pytest.raises(BadInput, match=reason):
                upload(folder, given.pop("repo"), endpoint=hub.endpoint, **given)
        hub.token = "hf_other"
        with pytest.raises(BadInput, match="HF_TOKEN is missing, or has no right to write there"):
            send(hub, tiny_data)
        assert not hub.received and not hub.commits


def test_the_command_takes_token_and_endpoint_from_the_environment(tiny_data, tmp_path):
    line = [str(Path(sys.executable).with_name("pgolf")), "data", "upload", str(tiny_data.data_dir), "--repo", REPO]
    with Hub(REPO, {}, made=False, token="hf_secret") as hub:
        env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "HF_ENDPOINT": hub.endpoint, "HF_HUB_DISABLE_XET": "1"}
        env |= {"HF_HUB_OFFLINE": "0", "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        refused = subprocess.run(line, env=env, capture_output=True, text=True)
        assert refused.returncode == 2 and "HF_TOKEN" in refused.stderr and not hub.commits
        done = subprocess.run([*line, "--json"], env=env | {"HF_TOKEN": "hf_secret"}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert (told["repository"], told["revision"], told["sent"]) == (REPO, COMMIT, len(tiny_data.files))
        assert not hub.private and "hf_secret" not in done.stdout + done.stderr
