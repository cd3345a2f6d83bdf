"""Where a dataset can be fetched from: kept only when every file is there as it is here, and never a part of its
identity."""

import json
import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hub import COMMIT, Hub

from pgolf.data.dataset import open_dataset
from pgolf.data.fineweb import fetch
from pgolf.data.source import find_source, keep_source, open_only, read_source
from pgolf.errors import BadInput, RunFailed
from pgolf.sources import Source, parse_source

REPO = "someone/golf-data"
AT = f"hf://{REPO}@{COMMIT}"


@pytest.fixture
def here(tiny_data, tmp_path):
    """A dataset of the user's, without a manifest."""
    for name in tiny_data.files:
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tiny_data.data_dir / name, tmp_path / "mine" / name)
    return open_only(tmp_path / "mine")


@pytest.fixture
def there(here):
    """The same files in a repository, one folder down."""
    return {f"datasets/{name}": (here.data_dir / name).read_bytes() for name in here.files}


def test_fetched_dataset_knows_where_it_came_from(there, tmp_path):
    with Hub(REPO, there) as hub:
        made = fetch(REPO, "sp512", tmp_path / "out", endpoint=hub.endpoint)
    source = read_source(made)
    assert source.url == AT and source.repository == (REPO, COMMIT)
    assert {source.path_of(name) for name in made.files} == there.keys()


def test_source_is_kept_and_changes_nothing_that_a_record_depends_on(here, there):
    with Hub(REPO, there) as hub:
        found = find_source(here, f"hf://{REPO}", hub.endpoint)
        assert hub.requests == [], "hashes are compared without a download"
    keep_source(here, found)
    again = open_dataset(here.data_dir, 512)
    assert read_source(again) == found == Source(AT, {name: f"datasets/{name}" for name in here.files})
    assert (again.files, again.input_hash) == (here.files, here.input_hash)


def test_file_outside_large_file_storage_is_compared_by_its_bytes(here, there):
    model = next(name for name in there if name.endswith(".model"))
    with Hub(REPO, there, small={model}) as hub:
        assert find_source(here, AT, hub.endpoint).paths[model.removeprefix("datasets/")] == model
        assert [name for name, _ in hub.requests] == [model]
        hub.files[model] = hub.files[model][:-1] + b"?"
        with pytest.raises(BadInput, match=r"has no file with the SHA-256 of tokenizers/"):
            find_source(here, AT, hub.endpoint)


def test_repository_that_lacks_a_file_or_has_another_one(here, there):
    shard = next(name for name in there if "train" in name)
    there[shard] = there[shard][:-1] + bytes([there[shard][-1] ^ 1])
    with Hub(REPO, there) as hub:
        with pytest.raises(BadInput, match=f"has no file with the SHA-256 of {shard.removeprefix('datasets/')}"):
            find_source(here, AT, hub.endpoint)
        with pytest.raises(BadInput, match=r"hf://someone/golf-data@v9: someone/golf-data has no such revision"):
            find_source(here, f"hf://{REPO}@v9", hub.endpoint)
    assert read_source(here) is None


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path.startswith("/away/"):
            self.send_response(302)
            self.send_header("Location", f"http://example.invalid{self.path}")
            self.end_headers()
        else:
            super().do_GET()


@pytest.fixture
def web(tmp_path):
    """A folder behind http on this machine."""
    (tmp_path / "web").mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "web")) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def test_folder_behind_https_must_list_the_same_files(here, web, tmp_path):
    manifest = tmp_path / "web/mine/manifest.json"
    with pytest.raises(RunFailed, match="404"):
        find_source(here, f"{web}mine/")
    with pytest.raises(RunFailed, match="leads away from https"):
        find_source(here, f"{web}away/")
    shutil.copytree(here.data_dir, tmp_path / "web/mine")
    manifest.write_text(json.dumps({"files": here.files}))
    assert find_source(here, f"{web}mine/") == Source(f"{web}mine/")
    first = min(here.files)
    for text, said in (
        (json.dumps({"files": here.files | {first: "0" * 64}}), f"{first} is '0000.*', here {here.files[first]}"),
        (json.dumps({"files": {}}), "is 'missing', here"),
        (json.dumps({"files": 3}), "lists no files"),
        ("[" * 100_000, "over 64 lists or tables"),
        ("3", "not a dataset's manifest"),
        (" " * (17 << 20), "more than 16,777,216 bytes"),
    ):
        manifest.write_text(text)
        with pytest.raises(BadInput, match=said):
            find_source(here, f"{web}mine/")


@pytest.mark.parametrize(
    "url",
    [
        f"hf://{REPO}",
        f"hf://{REPO}@main",
        f"hf://../name@{COMMIT}",
        f"hf://a/b/c@{COMMIT}",
        f"hf://a/b@{COMMIT}\n",
        "http://example.org/x/",
        "http://127.0.0.1.example.org/x/",
        "https://me:secret@example.org/x/",
        "https://example.org/x",
        "https://example.org/../x/",
        "https://example.org/x/?token=1",
        "file:///etc/",
        "https://example.org/" + "x/" * 600,
    ],
)
def test_source_of_another_form_is_refused(url):
    with pytest.raises(BadInput, match="give hf://owner/name@commit"):
        Source(url)


@pytest.mark.parametrize(
    "value",
    [
        3,
        {},
        {"url": 3},
        {"url": AT, "more": 1},
        {"url": AT, "paths": ["a"]},
        {"url": AT, "paths": {"a": 3}},
        {"url": AT, "paths": {"not-of-the-dataset": "a"}},
        {"url": AT, "paths": {"a": "../a"}},
        {"url": AT, "paths": {"a": "/etc/passwd"}},
        {"url": AT, "paths": {"a": "x/" * 600 + "a"}},
    ],
)
def test_source_in_a_strangers_manifest_is_checked(value):
    with pytest.raises(BadInput, match=r"^m\.json: source"):
        parse_source(value, {"a"}, "m.json")


def test_manifest_with_a_bad_source_is_no_sources_word(here):
    keep_source(here, Source(AT))
    path = here.data_dir / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"source": {"url": "ftp://x/"}}))
    with pytest.raises(BadInput, match=r"manifest.json: source 'ftp://x/'"):
        read_source(here)


def test_the_command_sets_and_shows_it(here, web, tmp_path):
    line = [str(Path(sys.executable).with_name("pgolf")), "data", "source", str(here.data_dir)]
    shutil.copytree(here.data_dir, tmp_path / "web/mine")
    (tmp_path / "web/mine/manifest.json").write_text(json.dumps({"files": here.files}))
    for more, said in (
        ([], "no source: pods are sent the files"),
        ([f"{web}mine/"], f"{len(here.files)} files: {web}mine/"),
        (["--json"], json.dumps({"url": f"{web}mine/"})),
    ):
        done = subprocess.run([*line, *more], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, said + "\n"), done.stderr
    (here.data_dir / "datasets/fineweb10B_sp77").mkdir()
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 2 and "has 2 datasets" in done.stderr
