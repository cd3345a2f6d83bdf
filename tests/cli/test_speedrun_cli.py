"""`pgolf audit` and `pgolf compare` of speedruns' folders."""

import json
import shutil

import pytest
from good_speedrun import NEW, Folder

from pgolf import cli


@pytest.fixture
def good(tmp_path):
    folder = Folder(tmp_path / "track_1_short" / "2026-07-17_Faster")
    folder.write()
    return folder


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs `pgolf …`, expects an exit code, and gives stdout and stderr."""

    def run(*words, code=0):
        monkeypatch.setattr("sys.argv", ["pgolf", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        assert int(end.value.code or 0) == code, out + err
        return out or err

    return run


def test_audit_prints_json(run, good):
    (record,) = json.loads(run("audit", "--json", good.path))["records"]
    assert record["track"] == "nanogpt_short"
    assert [v["name"] for v in record["variants"]] == ["baseline", "this_pr"]


def test_a_track_may_be_forced(run, good, tmp_path):
    shutil.move(good.path, tmp_path / "elsewhere")
    (record,) = json.loads(run("audit", "--json", "--track", "nanogpt_short", tmp_path / "elsewhere"))["records"]
    assert record["track"] == "nanogpt_short"


def test_the_exit_code_is_that_of_the_worst_finding(run, good):
    for number in range(6):
        good.run("this_pr", number, NEW[number], 85 + number / 50)
    run("audit", "--json", good.path, code=1)
    run("audit", "--json", "--fail-on", "never", good.path)
    good.write()
    run("audit", "--json", "--strict", "--fail-on", "warn", good.path)
    shutil.copy(good.name("this_pr", 0), good.name("this_pr", 9))
    run("audit", "--json", "--fail-on", "warn", good.path, code=1)


def test_against_names_the_baseline_s_folder(run, good, tmp_path):
    shutil.move(good.path / "baseline", tmp_path / "old")
    (record,) = json.loads(run("audit", "--json", "--against", tmp_path / "old", good.path))["records"]
    assert record["against"] == str(tmp_path / "old") and record["variants"][0]["gain"]["p"] < 0.01
    run("audit", "--json", "--against", "pr1493", good.path, code=2)
    run("audit", "--json", "--against", "auto", good.path)


def test_against_a_folder_without_a_run(run, good, tmp_path):
    (tmp_path / "empty").mkdir()
    run("audit", "--json", "--track", "nanogpt_short", "--against", tmp_path / "empty", good.path / "this_pr", code=2)


def test_compare_shows_losses_and_times(run, good):
    text = run("compare", good.path / "this_pr", good.path / "baseline")
    assert "3.27792 ± 0.00091 (n 6)" in text and "time, old − new" in text and "1390 steps" in text
    told = json.loads(run("compare", "--json", good.path, good.path / "baseline"))
    assert told["new"]["name"].endswith("this_pr") and told["time"]["p"] < 0.01 < told["loss"]["p"]


def test_compare_says_what_it_cannot(run, good):
    assert "is no folder" in run("compare", good.path, "pr1493", code=2)
    good.run("ablation", 0, 3.29, 79.0)
    assert "several variants" in run("compare", good.path, good.path / "baseline", code=2)
