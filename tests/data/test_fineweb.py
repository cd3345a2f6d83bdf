"""From a hub on this machine: what is asked for comes whole, a broken line is taken up, and nothing wrong is kept."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hub import COMMIT, Hub

from pgolf.data.dataset import open_dataset
from pgolf.data.fineweb import fetch
from pgolf.errors import BadInput, RunFailed

REPO = "someone/golf-data"


@pytest.fixture
def files(tiny_data):
    """The tiny dataset as a repository has it, one folder down, beside another variant."""
    found = {f"datasets/{name}": (tiny_data.data_dir / name).read_bytes() for name in tiny_data.files}
    other = next(content for path, content in found.items() if "val" in path)
    return {**found, "datasets/datasets/fineweb10B_sp77/fineweb_val_000000.bin": other, "README.md": b"hello"}


def shard(files, name):
    return next(path for path in files if path.endswith(f"sp512/fineweb_{name}.bin"))


def get(hub, out, **options):
    return fetch(hub.repo, "sp512", out, endpoint=hub.endpoint, **options)


def test_a_dataset_comes_whole_and_a_second_call_only_looks(files, tiny_data, tmp_path):
    seen = []
    with Hub(REPO, files) as hub:
        made = get(hub, tmp_path / "out", progress=lambda what, done, total: seen.append((what, done, total)))
        assert made.files == tiny_data.files and made.val_sha256 == tiny_data.val_sha256
        assert [p.name for p in tmp_path.iterdir() if p.name != ".out.lock"] == ["out"]
        total = sum((tiny_data.data_dir / name).stat().st_size for name in tiny_data.files)
        assert hub.bytes_sent == total and ("downloading", total, total) in seen
        again = get(hub, tmp_path / "out")
        assert again.reused and hub.bytes_sent == total
        with pytest.raises(BadInput, match="10 files, 5 are wanted"):
            get(hub, tmp_path / "out", train_shards=3)
    manifest = json.loads((made.data_dir / "manifest.json").read_text())
    assert manifest["fetched_from"] == {"repository": REPO, "revision": COMMIT, "variant": "sp512"}
    assert open_dataset(tmp_path / "out", 512).files == made.files


def test_only_the_shards_that_are_wanted(files, tmp_path):
    with Hub(REPO, files) as hub:
        made = get(hub, tmp_path / "out", train_shards=2)
        names = sorted(Path(name).name for name in made.files)
        shards = ("train_000000", "train_000001", "val_000000")
        assert names == ["fineweb_512_bpe.model", *(f"fineweb_{n}.bin" for n in shards)]


def test_a_connection_that_breaks_in_the_middle_is_taken_up_there(files, tiny_data, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1024)  # 10 MB: the tiny shards are one chunk
    path = shard(files, "train_000003")
    with Hub(REPO, files, cut={path: 2}) as hub:
        made = get(hub, tmp_path / "out")
        assert made.files == tiny_data.files
        ranges = [wanted for name, wanted in hub.requests if name == path]
        half = len(files[path]) // 2
        assert ranges[0] is None and len(ranges) == 3
        assert int(ranges[1].removeprefix("bytes=").rstrip("-")) > half - 1024
        total = sum((tiny_data.data_dir / name).stat().st_size for name in tiny_data.files)
        assert total <= hub.bytes_sent <= total + 2 * 1024, "what had come is not sent again"


def test_wrong_bytes_are_not_kept_and_what_is_right_is_not_fetched_again(files, tiny_data, tmp_path):
    path = shard(files, "train_000005")
    with Hub(REPO, files, lies={path}) as hub:
        with pytest.raises(RunFailed, match=r"train_000005.bin: its SHA-256 is \w+, the repository says"):
            get(hub, tmp_path / "out", workers=1)
        assert not (tmp_path / "out").exists()
        right = {name for name, _ in hub.requests} - {path}
        hub.lies.clear()
        hub.requests.clear()
        assert get(hub, tmp_path / "out", workers=1).files == tiny_data.files
        assert not right & {name for name, _ in hub.requests}


def test_a_missing_shard(files, tmp_path):
    path = shard(files, "train_000004")
    with Hub(REPO, files, gone={path}) as hub, pytest.raises(RunFailed, match="train_000004"):
        get(hub, tmp_path / "out")
    del files[path]
    with Hub(REPO, files) as hub:
        with pytest.raises(BadInput, match="train shard 000004 is missing there; there are 7"):
            get(hub, tmp_path / "out")
        with pytest.raises(BadInput, match="train shard 000004 is missing"):
            get(hub, tmp_path / "out", train_shards=50)
        assert hub.requests == []
        assert get(hub, tmp_path / "out", train_shards=4).train_tokens > 0


def test_what_is_not_there_is_said_before_anything_is_fetched(files, tmp_path):
    with Hub(REPO, files) as hub:
        for reason, options in (
            ("not in this repository; there are: sp512, sp77", {"variant": "sp8192"}),
            ("must begin with sp", {"variant": "bytes"}),
            ("no such dataset repository", {"repo": "someone/else"}),
            ("--revision v9", {"revision": "v9"}),
            ("exactly one tokenizer is needed, and the repository has: none", {"tokenizer": "other.model"}),
        ):
            given = {"repo": REPO, "variant": "sp512", **options}
            with pytest.raises(BadInput, match=reason):
                fetch(given.pop("repo"), given.pop("variant"), tmp_path / "out", endpoint=hub.endpoint, **given)
        assert hub.requests == [] and not (tmp_path / "out").exists()


def test_the_command_takes_token_and_endpoint_from_the_environment(files, tmp_path):
    line = [str(Path(sys.executable).with_name("pgolf")), "data", "fineweb", "--variant", "sp512", "--repo", REPO]
    line += ["--out", str(tmp_path / "out"), "--train-shards", "1", "--json"]
    with Hub(REPO, files, token="hf_secret") as hub:
        env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "HF_ENDPOINT": hub.endpoint}
        refused = subprocess.run(line, env=env, capture_output=True, text=True)
        assert refused.returncode == 2 and "HF_TOKEN has no right to it" in refused.stderr
        done = subprocess.run(line, env=env | {"HF_TOKEN": "hf_secret"}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["vocab_size"] == 512
    for text in (refused.stderr, done.stderr, done.stdout, (tmp_path / "out/manifest.json").read_text()):
        assert "hf_secret" not in text
