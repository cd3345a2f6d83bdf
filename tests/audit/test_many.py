"""Many folders: read only as they are asked for, in their order, with a bar on the terminal alone."""

import json
import os
import pty
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from good_entry import Folder

from pgolf.audit.audit import Audit, audit, audit_folders, day_of
from pgolf.audit.many import Unreadable, audit_each
from pgolf.errors import BadInput, RunFailed


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return Folder(tmp_path / "2026-04-25_Good").write()


def name(found: Audit) -> str:
    return found.folder.name


def killed(found: Audit) -> str:
    os._exit(9)


def test_folders_are_read_one_at_a_time(good, tmp_path):
    later = tmp_path / "2026-04-26_Later"
    results = audit_each([good, later, tmp_path / "never"], name, jobs=1)
    assert next(results) == "2026-04-25_Good"
    Folder(later).write()
    assert next(results) == "2026-04-26_Later"
    last = next(results)
    assert isinstance(last, Unreadable) and last.folder == tmp_path / "never"


def test_a_process_that_is_killed_is_told(good):
    with pytest.raises(RunFailed, match="--jobs 1"):
        list(audit_each([good] * 20, killed, jobs=2))


def test_a_folder_that_nobody_may_read_is_told(good, tmp_path, monkeypatch):
    """As root may read all, the system's answer is made up."""
    look = os.scandir

    def refuse(path):
        if Path(path).name == "2026-04-26_Locked":
            raise PermissionError(13, "Permission denied", str(path))
        return look(path)

    locked = Folder(tmp_path / "2026-04-26_Locked").write()
    monkeypatch.setattr(os, "scandir", refuse)
    first, second = audit_each([locked, good], name, jobs=1)
    assert isinstance(first, Unreadable) and "Permission denied" in first.problem and second == good.name


def test_a_bar_on_the_terminal_leaves_the_file_alone(good, tmp_path):
    out = tmp_path / "audits.json"
    mine, theirs = pty.openpty()
    words = [sys.executable, "-m", "pgolf.cli", "audit", *[str(good)] * 3, "--json"]
    with out.open("w") as f:
        run = subprocess.Popen(words, stdout=f, stderr=theirs, env={**os.environ, "TERM": "xterm", "COLUMNS": "80"})
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(mine, 1 << 16):
            shown += piece
    except OSError:  # the terminal is closed
        pass
    assert run.wait() == 0 and b"auditing" in shown and b"/3" in shown
    assert len(json.loads(out.read_text())["records"]) == 3 and b"claimed" not in shown


@pytest.mark.parametrize(
    ("folder", "claimed", "expected"),
    [
        ("2026-04-25_Name", "2026-01-01", date(2026, 4, 25)),
        ("track_10min_16mb__2026-04-25_Name", None, date(2026, 4, 25)),
        ("submission_2026_04_29_x", None, date(2026, 4, 29)),
        ("name", "2026-04-25T12:00:00Z", date(2026, 4, 25)),
        ("2026-02-30_Name", "2026-04-25", date(2026, 4, 25)),
        ("name_12026-04-25", "yesterday", None),
        ("name", None, None),
    ],
)
def test_day_of_a_record(tmp_path, folder, claimed, expected):
    made = Folder(tmp_path / folder)
    made.write()
    made.claim(date=claimed)
    assert day_of(audit(made.path).entry) == expected


def test_auto_is_the_record_that_stood_before_the_day(good):
    (found,) = audit_folders([good], against="auto")
    assert found.previous and found.previous.name == "pr1736"  # pr1787, of 23 April, is better, and 3 s over the limit


def test_a_record_to_beat_that_there_is_not_is_told_before_any_folder(tmp_path):
    with pytest.raises(BadInput, match="no ledger entry"):
        audit_each([tmp_path / "never"], name, against="pr1")


def test_a_record_that_nobody_named_accuses_nobody(tmp_path):
    """Its knobs, its text and its tests are not those that the author compares with."""
    folder = Folder(tmp_path / "2026-04-25_Good")
    folder.write()
    folder.claim(p_value="<1e-7")
    folder.edit_logs("val_tokens: 40540160", "val_tokens: 20540160")
    checks = ("delta-disclosed", "same-data", "claimed-significance", "attribution")
    named = audit(folder.path, against="pr1787")
    assert [named.check(c).status for c in checks[:2]] == ["warn", "fail"]
    chosen, alone = audit(folder.path, against="auto"), audit(folder.path)
    assert {c: chosen.check(c).status for c in checks} == {c: alone.check(c).status for c in checks}
    assert "pr1736, which stood before it, is only compared with" in chosen.check("delta-disclosed").message
    assert "different validation text" in chosen.no_comparison
    folder.claim(previous_record="pr1394")
    assert audit(folder.path, against="auto").check("delta-disclosed").status == "fail"  # it did name one
