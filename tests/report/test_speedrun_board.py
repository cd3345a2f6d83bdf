"""An archive of speedruns: a row a record, the frontier of the track's own measure, and who is never a part of it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from good_entry import Folder
from pages import Reader
from speedruns import write_speedrun
from typer.testing import CliRunner

from pgolf.audit.archive import record_folders
from pgolf.audit.audit import audit_folders
from pgolf.audit.checks import Check
from pgolf.cli import app
from pgolf.report.leaderboard import page
from pgolf.report.speedrun_board import boards, frontier
from pgolf.report.speedrun_row import SpeedrunRow, speedrun_row_of

GOOD = ((3.2775, 79.5), (3.2779, 79.7), (3.2773, 80.2), (3.2771, 79.58), (3.2769, 79.62))
TERMINAL = {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "100"}
SLOW = tuple((loss, seconds * 2) for loss, seconds in GOOD)
ABOVE = tuple((loss + 0.003, seconds / 2) for loss, seconds in GOOD)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A slow record, a good one, a faster one above the target, a faster single run; and two of fewest steps."""
    root = tmp_path / "records"
    write_speedrun(root / "track_1_short/2026-07-01_Slow", {"": SLOW})
    write_speedrun(root / "track_1_short/2026-07-05_Good", {"baseline": SLOW, "this_pr": GOOD, "ablation": ABOVE})
    write_speedrun(root / "track_1_short/2026-07-03_Above", {"": ABOVE})
    write_speedrun(root / "track_1_short/2026-07-04_Single", {"": ((3.2700, 20.0),)})
    write_speedrun(root / "track_3_optimization/results/20260701_more", {"": GOOD}, steps=5000)
    write_speedrun(root / "track_3_optimization/results/20260702_fewer", {"": SLOW}, steps=4800)
    return root


def rows_of(archive: Path) -> list[SpeedrunRow]:
    return [speedrun_row_of(a) for a in audit_folders(record_folders(archive))]


def drawn_line(rows: list[SpeedrunRow]) -> list[float]:
    (line,) = frontier(rows, rows[0].target).axes[0].lines
    return list(line.get_ydata())


def test_rows_are_grouped_by_track_and_ordered_by_its_measure(archive):
    short, steps = boards(rows_of(archive))
    assert [r.title for r in short.rows] == ["Single", "Above", "Good", "Slow"]
    assert [(r.title, r.measure) for r in steps.rows] == [("fewer", 4800), ("more", 5000)]


def test_a_row_has_the_figures_of_the_variant_that_reaches_the_target(archive):
    good = next(r for r in rows_of(archive) if r.title == "Good")
    assert (good.variant, good.others, good.runs, good.steps) == ("this_pr", 1, 5, 1400)
    assert good.measure == pytest.approx(79.72) and good.loss.p < 0.01 and good.doubt == ""
    assert good.gain.difference == pytest.approx(79.72) and good.half_interval > 0


def test_the_frontier_is_of_those_that_count_alone(archive):
    short, steps = boards(rows_of(archive))
    doubts = {r.title: r.doubt for r in short.rows}
    assert doubts == {
        "Single": "1 run of the 3 that it takes",
        "Above": "not shown to reach the target",
        "Good": "",
        "Slow": "",
    }
    assert drawn_line(list(short.rows)) == pytest.approx([159.44, 79.72, 79.72])
    assert drawn_line(list(steps.rows)) == [5000, 4800, 4800]


def test_a_failed_check_keeps_a_record_out(archive):
    rows = [r for r in rows_of(archive) if r.track.name == "nanogpt_short"]
    failed = (Check("runs-distinct", "fail", "two logs tell of one run"),)
    rows = [replace(r, findings=failed) if r.title == "Good" else r for r in rows]
    good = next(r for r in rows if r.title == "Good")
    assert good.doubt == "fails runs-distinct"
    assert drawn_line(rows) == pytest.approx([159.44, 159.44])


def test_a_clock_that_stood_still_and_a_loss_that_is_none(tmp_path):
    still = tuple((loss, 0.0) for loss, _ in GOOD)
    write_speedrun(tmp_path / "track_1_short/2026-07-03_Still", {"": still})
    broken = write_speedrun(tmp_path / "track_1_short/2026-07-04_Broken", {"": GOOD})
    for log in broken.iterdir():
        log.write_text(re.sub(r"(1400/1400 val_loss:)\S+", r"\1nan", log.read_text()))
    write_speedrun(tmp_path / "track_1_short/2026-07-05_Good", {"": GOOD})
    rows = rows_of(tmp_path)
    doubts = {r.title: r.doubt for r in rows}
    assert doubts == {"Still": "no time", "Broken": "no run that counts", "Good": ""}
    assert boards(rows)[0].rows[-1].title == "Broken" and boards(rows)[0].chart()


def test_values_far_apart_are_on_a_logarithmic_axis(archive):
    short, steps = boards(rows_of(archive))
    assert frontier(list(short.rows), short.target).axes[0].get_yscale() == "log"
    assert frontier(list(steps.rows), steps.target).axes[0].get_yscale() == "linear"


def test_no_record_that_counts_draws_no_line(tmp_path):
    write_speedrun(tmp_path / "track_1_short/2026-07-03_Above", {"": ABOVE})
    write_speedrun(tmp_path / "track_1_short/2026-07-04_Single", {"": ((3.27, 20.0),)})
    rows = rows_of(tmp_path)
    assert not frontier(rows, rows[0].target).axes[0].lines
    assert boards(rows)[0].chart()


def test_the_page_has_a_section_a_track_and_says_who_does_not_count(archive, tmp_path):
    text = page("All", audit_folders(record_folders(archive)), tmp_path)
    words = Reader(text).words()
    assert "nanogpt_short: NanoGPT speedrun" in words and "nanogpt_optimization: NanoGPT speedrun" in words
    assert "1 run of the 3 that it takes" in words and "A score is the mean" not in words
    assert "2026-07-04 · 20.000 s · 2026-07-04_Single · 1 run of the 3 that it takes" in text
    assert len(re.findall(r'<tr>\s*<th scope="row"', text)) == 6


def test_words_of_folders_cannot_write_into_the_page(tmp_path):
    write_speedrun(tmp_path / "track_1_short/2026-07-03_<img src=x onerror=alert(1)>", {"<b>x": GOOD})
    write_speedrun(tmp_path / "track_1_short/2026-07-04_$x$_", {"": GOOD})
    text = page("All", audit_folders(record_folders(tmp_path)), tmp_path)
    assert not {"img", "b"} & {tag for tag, _ in Reader(text).tags}


def test_both_contests_on_one_page_and_in_one_output(archive, tmp_path):
    Folder(archive / "track_10min_16mb/2026-04-25_Low").write()
    out = tmp_path / "all.html"
    done = CliRunner().invoke(app, ["archive", str(archive), "--html", str(out)], env=TERMINAL)
    assert "mean val_bpb" in done.output and "nanogpt_short: target 3.28" in done.output
    piped = CliRunner().invoke(app, ["archive", str(archive)]).stdout.splitlines()
    assert len(piped) == 7 and piped[0].startswith("1.07905")  # a line a record, its score first
    words = Reader(out.read_text()).words()
    assert "10min_16mb: 10 minutes" in words and "nanogpt_short: NanoGPT" in words
    done = CliRunner().invoke(app, ["archive", str(archive), "--json"])
    tracks = [r["track"] for r in json.loads(done.output)["records"]]
    assert tracks.count("nanogpt_short") == 4 and tracks.count("10min_16mb") == 1


def test_speedruns_alone_have_no_empty_table_of_scores(archive):
    done = CliRunner().invoke(app, ["archive", str(archive)], env=TERMINAL)
    assert "mean val_bpb" not in done.output and "target 3.28" in done.output
