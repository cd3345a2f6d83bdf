"""`pgolf audit` and `pgolf archive`: exit codes, JSON, and tables that show hostile words instead of obeying them."""

import json

import pytest
from good_entry import Folder
from typer.testing import CliRunner

from pgolf import cli
from pgolf.errors import BadInput

HOSTILE = "[red]<script>alert(1)</script>[/nothing] \x1b[31m | `x` \u202e"


@pytest.fixture
def folder(tmp_path):
    f = Folder(tmp_path / "records" / "track_10min_16mb" / "2026-04-25_A_Record")
    f.write()
    return f


def run(*arguments):
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


def test_exit_codes(folder, tmp_path):
    assert run("audit", folder.path).exit_code == 0
    folder.claim(val_bpb=1.0)
    assert run("audit", folder.path).exit_code == 1
    assert run("audit", folder.path, "--track", "cpu_smoke").exit_code == 1
    assert isinstance(run("audit", tmp_path / "nowhere").exception, BadInput)


def test_main_says_what_cannot_be_read_and_ends_with_2(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("sys.argv", ["pgolf", "audit", str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2 and "nowhere" in capsys.readouterr().err


def test_json(folder):
    result = run("audit", folder.path, folder.path, "--json", "--against", "pr1394")
    records = json.loads(result.stdout)["records"]
    assert [r["folder"] for r in records] == [str(folder.path)] * 2
    assert records[0]["significance"]["n_old"] == 5


def test_archive_finds_records_at_any_depth(folder, tmp_path):
    result = run("archive", tmp_path / "records", "--json")
    assert result.exit_code == 0 and len(json.loads(result.stdout)["records"]) == 1
    folder.claim(val_bpb=1.0)
    table = run("archive", tmp_path / "records")
    assert table.exit_code == 1 and "claimed-mean" in table.stdout
    (tmp_path / "empty").mkdir()
    assert isinstance(run("archive", tmp_path / "empty").exception, BadInput)


def test_hostile_words_are_shown_not_obeyed(folder, tmp_path):
    folder.edit_logs("NVIDIA H100 80GB HBM3 ", f"NVIDIA {HOSTILE}")
    folder.claim(name=HOSTILE, hardware=HOSTILE, track=HOSTILE)
    page = tmp_path / "page.html"
    result = run("audit", folder.path, "--html", page)
    assert result.exit_code == 0
    assert "[red]" in result.stdout and "\x1b" not in result.stdout and "\u202e" not in result.stdout
    assert "<script>" not in page.read_text() and "&lt;script&gt;" in page.read_text()
