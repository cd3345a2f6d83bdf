"""A folder that pgolf works in, or that records lie in, is given where a record's folder is asked for."""

import shutil
from pathlib import Path

import pytest
from good_entry import SEEDS, Folder, log_text
from typer.testing import CliRunner

from pgolf.audit.archive import record_folders
from pgolf.cli import app
from pgolf.errors import BadInput
from pgolf.evidence.entry import read_entry
from pgolf.evidence.manifest import list_files
from pgolf.evidence.plan import make_plan, write_plan
from pgolf.evidence.record_folder import check_no_work_folder, check_record_folder
from pgolf.program.find import open_program


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """runs/r1 as `pgolf record` leaves it: logs of a preflight and of each attempt, plan and manifest."""
    folder = tmp_path / "runs" / "r1"
    for place in ("preflight/42", *(f"seeds/{seed}" for seed in SEEDS)):
        attempt = folder / place / "attempt-1"
        attempt.mkdir(parents=True)
        (attempt / "train.log").write_text(log_text(int(place.rpartition("/")[2])))
    (folder / "train_gpt.py").write_text("import os\nprint(os.environ['SEED'], os.environ['DATA_PATH'])\n")
    write_plan(folder, make_plan("r1", "10min_16mb", "smoke", SEEDS, {"train_gpt.py": "ab" * 32}))
    list_files(folder, folder, {"plan.json": "ab" * 32})
    return folder


@pytest.fixture
def record(work: Path) -> Path:
    return Folder(work / "records" / "track_10min_16mb" / "2026-04-25_A_record").write()


COMMANDS = [
    ("audit", "WORK"),
    ("audit", "WORK", "--track", "nanogpt_short"),
    ("audit", "RECORD", "--against", "WORK"),
    ("report", "WORK", "-o", "OUT"),
    ("report", "RECORD", "--against", "WORK", "-o", "OUT"),
    ("compare", "WORK"),
    ("compare", "RECORD", "WORK"),
    ("compare", "WORK,RECORD", "pr1493"),
    ("draft", "LOG", "--program", "WORK", "-o", "OUT"),
    ("draft", "LOG", "--program", "RECORD", "--against", "WORK", "-o", "OUT"),
    ("power", "--track", "10min_16mb", "--against", "WORK", "--std", "0.001", "--delta", "0.01"),
    ("program", "check", "WORK"),
    ("reproduce", "WORK", "--yes"),
    ("submit", "WORK", "--repo", "CLONE"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_refuses_the_folder_that_pgolf_works_in_and_names_the_records(work, record, tmp_path, words):
    log = work / "seeds" / "42" / "attempt-1" / "train.log"
    places = {"WORK": work, "RECORD": record, "LOG": log, "OUT": tmp_path / "out", "CLONE": tmp_path / "clone"}
    words = [",".join(str(places.get(part, part)) for part in word.split(",")) for word in words]
    before = sorted(tmp_path.rglob("*"))
    ended = CliRunner().invoke(app, words)
    assert isinstance(ended.exception, BadInput), ended.output
    assert f"{work}: " in str(ended.exception) and str(record) in str(ended.exception)
    assert sorted(tmp_path.rglob("*")) == before, "nothing is written"


def test_a_folder_that_is_missing_is_called_missing(tmp_path):
    for words in (["submit", "nope", "--repo", str(tmp_path)], ["audit", "nope"], ["report", "nope"]):
        assert "no folder nope" in str(CliRunner().invoke(app, words).exception)


def test_a_file_in_a_folders_place_is_called_a_file(record, tmp_path):
    file = record / "README.md"
    for command in (["audit"], ["report"], ["reproduce", "--yes"], ["archive"], ["submit", "--repo", str(tmp_path)]):
        refused = CliRunner().invoke(app, [*command, str(file)]).exception
        assert isinstance(refused, BadInput) and f"{file} is a file, no folder: name a " in str(refused), command
    ended = CliRunner().invoke(app, ["status", "--runs-dir", str(file)])
    assert isinstance(ended.exception, BadInput) and "is a file, no folder" in str(ended.exception)


def test_status_of_a_missing_folder_is_refused_but_of_the_usual_one_is_empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(app, ["status", "--runs-dir", "nosuch"])
    assert isinstance(ended.exception, BadInput) and "no folder nosuch: name the folder" in str(ended.exception)
    assert CliRunner().invoke(app, ["status"]).exit_code == 0
    (tmp_path / "other").mkdir()
    assert CliRunner().invoke(app, ["status", "--runs-dir", "other"]).exit_code == 0


def test_a_folder_in_an_artifacts_place_is_refused_by_what_is_wanted(work):
    for command in ("eval", "probe"):
        refused = CliRunner().invoke(app, [command, str(work)]).exception
        assert isinstance(refused, BadInput)
        assert f"{work}: a folder, and an artifact is wanted: name the artifact, a final_model" in str(refused)


def test_a_submission_json_in_a_folders_place_names_the_folder(record):
    for words in (["compare", str(record / "submission.json")], ["audit", str(record), "--against"]):
        said = [*words, str(record / "submission.json")]
        refused = CliRunner().invoke(app, said).exception
        assert isinstance(refused, BadInput) and f"give its folder, {record}" in str(refused), refused


def test_a_folder_above_work_without_records_does_not_speak_of_records_in_it(work):
    with pytest.raises(BadInput, match="no record's folder, and none is in it; pgolf works in it, as in") as refused:
        check_record_folder(work.parent)
    assert str(work) in str(refused.value) and "others lie in" not in str(refused.value)


def test_the_records_own_folder_is_read_as_before(record):
    check_record_folder(record)
    assert len(read_entry(record).runs) == 3
    assert record_folders(record.parents[2]) == [record], "archive finds it in the folder that pgolf works in"


def test_without_a_record_in_it_the_message_names_none(work):
    with pytest.raises(BadInput, match=r"pgolf works in.*no record's folder is in it"):
        read_entry(work)


def test_a_sweep_has_no_records_and_its_logs_are_not_pooled(work, tmp_path):
    for place in ("seeds", "preflight"):
        shutil.rmtree(work / place)
    base = work / "base" / "1337" / "attempt-1"
    base.mkdir(parents=True)
    (base / "train.log").write_text(log_text(42))
    with pytest.raises(BadInput, match="pgolf works in"):
        read_entry(work)


def test_a_folder_of_records_is_no_record(work, record, tmp_path):
    for above in (tmp_path / "runs", record.parents[1], record.parent):
        with pytest.raises(BadInput, match="others lie in; give the record's: ") as refused:
            read_entry(above)
        assert str(record) in str(refused.value)
    Folder(record.parent / "2026-04-26_Another").write()
    with pytest.raises(BadInput, match=r"one record's: .*A_record, .*Another"):
        read_entry(record.parent)


def test_a_program_may_have_the_runs_beside_it(work, record, tmp_path):
    (tmp_path / "train_gpt.py").write_text((work / "train_gpt.py").read_text())
    check_no_work_folder(tmp_path)
    assert open_program(tmp_path).script == "train_gpt.py"


def test_a_submission_that_has_a_plan_is_a_records_folder(record):
    for name in ("plan.json", "manifest.json"):
        (record / name).write_text("{}")
    check_record_folder(record)
    check_no_work_folder(record)
