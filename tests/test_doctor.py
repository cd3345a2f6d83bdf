"""`pgolf doctor` names what is missing and how to get it, and shows no secret."""

import json
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pgolf import doctor, tracks
from pgolf.cli import app
from pgolf.errors import BadInput


def findings(tmp_path: Path, track: str = "cpu_smoke") -> dict[str, doctor.Finding]:
    return {f.what: f for f in doctor.examine(track, tmp_path / "data", tmp_path / "runs" / "deep")}


@pytest.fixture(autouse=True)
def no_server(monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)


@pytest.fixture
def late_server(monkeypatch):
    """A Prefect server, as far as its health goes, whose clock is two hours ahead."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response_only(200)
            self.send_header("Date", format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True))
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{server.server_port}/api")
    yield server
    server.shutdown()
    server.server_close()


def test_this_machine_can_make_a_record_on_its_cpu(tmp_path):
    assert {f.what for f in findings(tmp_path).values() if f.state == "missing"} == set()
    assert not (tmp_path / "runs").exists() and not (tmp_path / "data").exists()


def test_dataset_that_is_not_there_is_named_file_by_file(tmp_path):
    found = findings(tmp_path, "10min_16mb")["dataset"]
    assert found.state == "missing" and "docs/data.md" in found.fix
    assert "fineweb_8192_bpe.model" in found.found and "fineweb_val_*.bin" in found.found


@pytest.mark.parametrize("track", [name for name in tracks.names() if tracks.load(name).target])
def test_a_speedruns_track_needs_neither_a_preset_nor_its_dataset(tmp_path, track):
    found = findings(tmp_path, track)
    assert "pgolf program check" in found["program"].found and "torch" in found
    assert not [what for what in found if what.startswith(("trainer", "dataset"))]


def test_file_where_a_folder_is_to_be_made_is_missing_room(tmp_path):
    (tmp_path / "file").touch()
    found = {f.what: f for f in doctor.examine("cpu_smoke", tmp_path / "file", tmp_path / "file" / "runs")}
    assert found["disk"].state == found["dataset"].state == "missing"
    assert "is no folder" in found["disk"].found and "--data-dir" in found["dataset"].fix


def test_requirement_that_is_not_met_is_named(tmp_path, monkeypatch):
    needs = [
        "numpy>=99",
        "no-such-package>=1",
        "scipy>=1",
        "tomli>=1; python_version < '3.11'",
        "ruff>99; extra == 'dev'",
    ]
    monkeypatch.setattr(doctor, "requires", lambda _: needs)
    found = findings(tmp_path)["packages"]
    assert found.state == "missing" and "pip install" in found.fix
    assert "numpy" in found.found and "no no-such-package" in found.found
    assert not any(name in found.found for name in ("scipy", "tomli", "ruff"))


def test_package_of_the_tracks_preset_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name == "constriction" else name)
    track = tmp_path / "mine.toml"
    track.write_text(
        Path(tracks.__file__).with_name("cpu_smoke.toml").read_text().replace('"smoke"', '"smoke-frontier"')
    )
    found = {f.what: f for f in doctor.examine(str(track), tmp_path, tmp_path)}["trainer (smoke-frontier)"]
    assert (found.state, found.found) == ("missing", "no constriction>=0.5,<0.6")
    assert found.fix == "pip install 'constriction>=0.5,<0.6'"
    assert findings(tmp_path)["trainer (smoke)"].state == "ok"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/api", "http://[::1", "nonsense"])
def test_server_that_does_not_answer(tmp_path, monkeypatch, url):
    monkeypatch.setenv("PREFECT_API_URL", url)
    found = findings(tmp_path)
    assert found["Prefect"].state == "missing" and "unset PREFECT_API_URL" in found["Prefect"].fix
    assert found["clock"].state == "ok"


def test_clock_that_is_off(tmp_path, late_server):
    found = findings(tmp_path)
    assert found["Prefect"].state == "ok"
    assert found["clock"].state == "missing" and "off the Prefect server" in found["clock"].found


def test_secrets_are_not_shown_and_exit_says_whether_a_record_can_start(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNPOD_API_KEY", "SECRET-1")
    monkeypatch.setenv("PGOLF_WEBHOOK_URL", "https://chat.example/SECRET-2")
    where = ["--data-dir", str(tmp_path), "--runs-dir", str(tmp_path)]
    good = CliRunner().invoke(app, ["doctor", *where])
    assert good.exit_code == 0, good.output
    assert "SECRET" not in good.output and "RUNPOD_API_KEY" in good.output
    bad = CliRunner().invoke(app, ["doctor", "--track", "10min_16mb", "--json", *where])
    assert bad.exit_code == 1
    assert {f["state"] for f in json.loads(bad.output) if f["what"] == "dataset"} == {"missing"}


def test_unknown_track_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="10min_16mb"):
        findings(tmp_path, "10min_16m")
