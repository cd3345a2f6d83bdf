"""Tables of audits at several widths and in pipes: scores first, nothing cut, a row a line."""

import re
from pathlib import Path

import pytest
from good_entry import Folder
from speedruns import write_speedrun
from typer.testing import CliRunner

from pgolf import ledger
from pgolf.cli import app


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """A good record, and one with the same logs that claims another score."""
    Folder(tmp_path / "2026-04-25_Good").write()
    other = Folder(tmp_path / "2026-04-26_A_Name_That_Is_Longer_Than_A_Narrow_Terminal_Has_Columns")
    other.write()
    other.claim(val_bpb=1.0)
    return tmp_path


def output(*arguments: object, columns: int | None = None) -> list[str]:
    """What a command prints in a pipe, or on a terminal of so many columns, without colours."""
    env = {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": str(columns)} if columns else {}
    done = CliRunner().invoke(app, list(map(str, arguments)), env=env)
    return [line.rstrip() for line in re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", done.stdout).splitlines()]


def folders(records: Path) -> list[Path]:
    return sorted(p for p in records.iterdir() if p.is_dir())


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_audit_shows_scores_first_and_cuts_nothing(records, columns):
    lines = output("audit", *folders(records)[:1], columns=columns)
    assert all(len(line) <= columns for line in lines[1:])  # but for the path
    heading = next(i for i, line in enumerate(lines) if "val_bpb" in line)
    assert lines[heading].split()[0] == "val_bpb"
    scores = [line for line in lines[heading + 1 :] if re.match(r" *1\.0\d{7}", line)]
    assert len(scores) == 3 and not any("…" in line.split()[0] for line in scores)
    words = " ".join(" ".join(lines).split())
    assert "train_seed42.log" in words and "log-complete" in words


def test_audit_in_a_pipe_is_a_line_a_seed_and_a_line_a_check(records):
    lines = output("audit", folders(records)[1])
    checks = [line for line in lines if re.match(r"[✗▲·●–] ", line)]
    assert len({line.split()[2] for line in checks}) == len(checks) > 20
    (claimed,) = (line for line in checks if " claimed-mean " in line)
    assert claimed.startswith("✗ fail") and "  submission.json:7  train_seed42.log:35" in claimed
    assert sum(line.startswith("1.0") for line in lines) == 3


@pytest.mark.parametrize("columns", [None, 40])
def test_an_empty_line_parts_the_audits_and_their_end(records, columns):
    lines = output("audit", *folders(records), columns=columns)
    (second,) = (i for i, line in enumerate(lines) if line.startswith(str(folders(records)[1])))
    (end,) = (i for i, line in enumerate(lines) if line.startswith("2 records, "))
    assert lines[second - 1] == lines[end - 1] == "" and lines[second - 2]
    assert columns is None or all(len(line) <= columns for line in lines[end:])


@pytest.mark.parametrize("columns", [None, 60, 120])
def test_audit_of_many_ends_with_their_number_and_mean(records, columns):
    last = " ".join(output("audit", *folders(records), columns=columns)[-3:])
    assert "2 records, 1 fail, 0 warn; mean val_bpb 1.07905, std 0.00000, over the 2 with a score" in last
    assert "(track 10min_16mb)" in last
    assert "mean val_bpb" not in output("audit", folders(records)[0])[-1]


def test_tracks_have_a_mean_each(records):
    write_speedrun(records / "track_1_short/2026-07-01_Slow", {"": ((3.2775, 80.0),)})
    last = output("audit", *folders(records)[:2], records / "track_1_short/2026-07-01_Slow")[-3:]
    assert last[0].startswith("track 10min_16mb: 2 records, 1 fail")
    assert "mean training seconds 80.000, over the 1 with a result" in last[1]
    assert last[2].startswith("3 records, 1 fail")


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_archive_shows_scores_first_and_cuts_nothing(records, columns):
    lines = output("archive", records, columns=columns)
    assert all(len(line) <= columns for line in lines)
    assert sum(line.split()[:2] == ["1.07905", "3"] for line in lines if line) == 2
    assert "".join("".join(lines).split()).count(folders(records)[1].name) == 1


def test_archive_in_a_pipe_is_a_line_a_record(records):
    lines = output("archive", records)
    assert [line.split()[:3] for line in lines] == [["1.07905", "3", folder.name] for folder in folders(records)]


def test_draft_in_a_pipe_is_as_wide_as_its_words(records):
    lines = CliRunner().invoke(app, ["audit", "--draft", str(folders(records)[1])]).stdout.splitlines()
    assert max(map(len, lines)) < 1000 and all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize("columns", [80, 100, 120])
def test_a_ledger_entry_is_a_line_its_score_first_and_nothing_cut(columns):
    lines = output("ledger", "list", columns=columns)
    assert all(len(line) <= columns and "…" not in line for line in lines)
    words = [line.split() for line in lines if re.match(r"\d\.\d{8}  ", line)]
    rows = {name: row for row in words for name in row if name in ledger.names()}
    assert len(words) == len(rows) == len(ledger.names())
    assert (rows["pr1855"][1], rows["pr1787"][1], rows["pr1736"][1]) == ("●", "✗", "3")


def test_a_ledger_entry_in_a_pipe_is_a_line_with_its_status():
    lines = output("ledger", "list")
    assert len(lines) == len(ledger.names()) and lines[0].startswith("1.06107587  2026-04-27  10min_16mb  pr1855")
    (line,) = [line for line in lines if "  pr1787  " in line]
    assert line.endswith("not admitted: training and calibration of 603.068 s, over 600 s")


def test_seconds_of_calibration_have_the_digits_of_those_of_training(tmp_path):
    folder = Folder(tmp_path / "2026-04-25_Good")
    folder.write()
    lines = output("audit", folder.path)
    assert any("training + calibration, s" in line and "evaluation, s" in line for line in lines)
    assert sum(bool(re.search(r"  \d+\.\d{3} \+ \d+\.\d{3}  ", line)) for line in lines) == 3


def test_records_of_one_name_can_be_told_apart(tmp_path):
    same = [Folder(tmp_path / run / "records" / "2026-04-25_Mine").write() for run in ("a", "b")]
    Folder(tmp_path / "a" / "records" / "2026-04-26_Other").write()
    assert sorted(row.split("  ")[2] for row in output("archive", tmp_path)) == [
        "2026-04-25_Mine (a)",
        "2026-04-25_Mine (b)",
        "2026-04-26_Other",
    ]
    compared = output("compare", *same)
    assert [row.split("  ")[-1].split(":")[0].strip() for row in compared[:2]] == [
        "2026-04-25_Mine (a)",
        "2026-04-25_Mine (b)",
    ]
    assert "2026-04-25_Mine (a) + 2026-04-25_Mine (b): mean" in output("compare", f"{same[0]},{same[1]}", "pr1493")[0]
    page = tmp_path / "all.html"
    output("report", *same, "-o", page)
    assert page.read_text().count('<span class="folder">2026-04-25_Mine (') == 2
