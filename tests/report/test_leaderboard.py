"""The page of an archive: every record with what its logs show, sorted, linked; nothing runs but the sorting."""

import base64
import hashlib
import json
import math
import re
from pathlib import Path
from statistics import mean, stdev

import pytest
from good_entry import BPB, Folder, log_text
from pages import Reader
from typer.testing import CliRunner

from pgolf.audit.archive import record_folders
from pgolf.audit.audit import audit_folders
from pgolf.cli import app
from pgolf.report.leaderboard import leaderboards, page

T_2 = 4.302652729911275  # Student's t for 97.5 % at 2 degrees of freedom, from a table


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Four records: a good one, a worse one of another day, one of a single seed, one without any score."""
    root = tmp_path / "records"
    Folder(root / "2026-04-25_Good").write()
    worse = Folder(root / "2026-04-20_Worse")
    worse.write()
    for seed, bpb in BPB.items():
        worse.log(seed).write_text(log_text(seed, bpb + 0.01))
    one = Folder(root / "2026-04-22_One")
    one.write()
    one.log(314).unlink()
    one.log(999).unlink()
    Folder(root / "2026-04-26_None").write()
    for log in (root / "2026-04-26_None").glob("*.log"):
        log.write_text(log.read_text().split("pre-quantization")[0])
    return root


def read(archive: Path) -> tuple[str, Reader]:
    text = page("Here", audit_folders(record_folders(archive)), archive)
    return text, Reader(text)


def test_best_first_and_unknown_last(archive):
    (board,) = leaderboards(audit_folders(record_folders(archive)))
    assert [r.name[11:] for r in board.rows] == ["One", "Good", "Worse", "None"]
    good = board.rows[1]
    assert good.mean == pytest.approx(mean(BPB.values()))
    assert good.half_interval == pytest.approx(T_2 * stdev(BPB.values()) / math.sqrt(3))
    assert board.rows[0].half_interval is None and board.rows[3].mean is None


def test_a_time_that_is_little_over_its_limit_does_not_read_as_zero(tmp_path):
    folder = Folder(tmp_path / "2026-04-25_Good")
    folder.write()
    folder.log(42).write_text(folder.log(42).read_text().replace("train_time: 587042ms", "train_time: 587342ms"))
    text, _ = read(tmp_path)
    (cell,) = re.findall(r'<td class="n warn" data-label="training left, s"[^>]*>([^<]*)<', text)
    assert cell == "-0.04"  # 587.342 s, and 12.7 s of calibration


def test_page_has_a_row_a_record_and_its_lights(archive):
    text, reader = read(archive)
    rows = re.findall(r"<tr>\s*<th scope=\"row\".*?</tr>", text, re.S)
    assert len(rows) == 4
    (none,) = (r for r in rows if "2026-04-26_None" in r)
    assert "fail: log-complete" in none
    (good,) = (r for r in rows if "2026-04-25_Good" in r)
    assert 'title="fail' not in good
    assert f"2026-04-20 · {mean(BPB.values()) + 0.01:.5f} bpb · A record" in text
    assert "unknown" in reader.words()


def test_a_report_in_the_folder_is_linked_from_where_the_page_is(archive, tmp_path):
    (archive / "2026-04-25_Good" / "report.html").write_text("")
    audits = audit_folders(record_folders(archive))
    links = {a["href"] for t, a in Reader(page("x", audits, tmp_path / "site")).tags if t == "a"}
    assert "../records/2026-04-25_Good/report.html" in links
    assert sum("report.html" in link for link in links) == 1


def test_only_the_sorting_may_run(archive):
    Folder(archive / "<img src=x onerror=alert(1)>").write()
    claims = archive / "2026-04-25_Good" / "submission.json"
    claims.write_text(json.dumps(json.loads(claims.read_text()) | {"name": "</script><script>alert(1)</script>"}))
    text, reader = read(archive)
    scripts = re.findall(r"<script>(.*?)</script>", text, re.S)
    assert len(scripts) == 1 and "img" not in {t for t, _ in reader.tags}
    policy = next(a["content"] for t, a in reader.tags if t == "meta" and "http-equiv" in a)
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert policy.endswith(f"script-src 'sha256-{digest}'") and policy.startswith("default-src 'none'")


def test_command_writes_it_beside_its_table(archive, tmp_path):
    out = tmp_path / "leaderboard.html"
    done = CliRunner().invoke(app, ["archive", str(archive), "--html", str(out)])
    assert done.exit_code == 1  # a record without scores is in it
    assert "Leaderboard of records" in out.read_text()
