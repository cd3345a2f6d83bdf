"""The page of a speedrun: its figures, its curves, and that it fits every screen."""

import re

import pytest
from browser import chromium
from pages import Reader
from speedruns import BASELINE, NEW, write_speedrun

from pgolf import tracks
from pgolf.audit.target import audit_target
from pgolf.evidence.plan import make_plan_of_runs, write_plan
from pgolf.report.page import page, report_of, write_report
from pgolf.report.target_figures import MOST_POINTS, Curves, Point, drawable
from pgolf.report.target_page import curves_of
from pgolf.report.target_rows import variant_rows

SHORT, STEPS = tracks.load("nanogpt_short"), tracks.load("nanogpt_optimization")
OTHER = ((3.2766, 79.1), (3.2781, 79.3))


@pytest.fixture
def audit(tmp_path):
    folder = write_speedrun(tmp_path / "2026-07-17_Mine")
    (folder / "README.md").write_text("# Mine\n")
    return audit_target(folder, SHORT)


@pytest.fixture(scope="module")
def browser():
    with chromium() as it:
        yield it


def test_page_has_the_figures_the_runs_and_the_checks(audit):
    text = Reader(page(report_of(audit))).words()
    for row in variant_rows(audit):
        for figure in (row.name, row.seconds, row.seconds_std, row.seconds_gain, row.seconds_p):
            assert figure in text
        for figure in (row.loss, row.loss_std, row.loss_gap, row.loss_p, row.p_range):
            assert figure in text
    logs = [log.name for v in ("baseline", "this_pr") for log in (audit.folder / v).iterdir()]
    assert all(name in text for name in logs)
    assert all(c.id in text for c in audit.checks)
    assert "8x NVIDIA H100 80GB HBM3" in text


def test_files_are_hashed(audit):
    files = {name for name, _, _ in report_of(audit).files}
    logs = {f"{v}/{log.name}" for v in ("baseline", "this_pr") for log in (audit.folder / v).iterdir()}
    assert files == {"README.md"} | logs


def test_charts_have_a_line_a_run_and_a_mean_and_the_target(audit):
    whole, ends = (chart for chart, _ in report_of(audit).charts[:2])
    runs = len(BASELINE) + len(NEW)
    for chart in (whole, ends):
        assert len(re.findall(r"stroke-opacity: 0\.35", chart)) == runs
    titles = re.findall(r"<title>(.*?)</title>", ends)
    assert len(titles) == runs + 2 and sum("mean of 5" in t for t in titles) == 2
    assert "target 3.28" in ends and "target 3.28" not in whole
    assert len(report_of(audit).charts) == 4


def test_logs_without_a_clock_have_no_chart_by_seconds(tmp_path):
    folder = write_speedrun(tmp_path / "2024-10-10_Old", {"": NEW})
    for log in folder.iterdir():
        log.write_text(re.sub(r" train_time:\S+ step_avg:\S+", "", log.read_text()))
    report = report_of(audit_target(folder, SHORT))
    assert len(report.charts) == 2 and "no baseline to compare with" in Reader(page(report)).words()


def test_mean_curve_is_at_the_steps_of_all_runs():
    curves = Curves("a", False, [("1", [Point(1, 4.0, 1.0), Point(2, 3.0, 2.0)]), ("2", [Point(2, 3.5, 4.0)])])
    assert curves.mean() == [Point(2, 3.25, 3.0)]
    assert Curves("a", False, [("1", [Point(1, 4.0, 1.0)]), ("2", [Point(1, 3.0, None)])]).mean() == [
        Point(1, 3.5, None)
    ]


def test_long_curve_is_thinned_out_and_keeps_its_end():
    points = [Point(i, 4.0, float(i)) for i in range(10_001)]
    drawn = drawable([Point(1, float("nan"), 1.0), Point(1, 1e300, 1.0), *points])
    assert len(drawn) <= MOST_POINTS and drawn[-1] == points[-1]


def test_curves_are_of_the_runs_that_count(audit):
    log = sorted((audit.folder / "this_pr").iterdir())[0]
    log.write_text(log.read_text().replace("step:1400/1400 val_loss", "step:1400/1400 train_loss"))
    baseline, new = curves_of(audit_target(audit.folder, SHORT))
    assert (baseline.name, len(baseline.runs), new.name, len(new.runs)) == ("baseline", 5, "this_pr", 4)


@pytest.mark.parametrize("track", [SHORT, STEPS], ids=lambda t: t.name)
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_page_fits_the_screen_and_its_tables_scroll(browser, tmp_path, track, width, scheme):
    long = "a_name_without_any_space_" * 5
    folder = write_speedrun(
        tmp_path / f"2026-07-17_{long}", {"baseline": BASELINE, long: NEW, "v3": ((3.2766, 79.1), (3.2781, 79.3))}
    )
    path = write_report([audit_target(folder, track)], tmp_path / "report.html")
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    trouble = []
    page.on("console", lambda m: trouble.append(m.text))
    page.on("request", lambda r: trouble.append(r.url) if r.url != path.as_uri() else None)
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width and trouble == []
    widths = page.evaluate("[...document.querySelectorAll('.wide')].map(e => [e.clientWidth, e.scrollWidth])")
    assert all(box <= width for box, _ in widths)
    assert page.locator(".wide").nth(0).locator("tbody tr").count() == 3
    if width == 390:
        loss = page.locator(".wide").nth(0).locator("tbody tr").nth(1).locator("td[data-label='mean loss']")
        box = loss.bounding_box()
        assert loss.inner_text().startswith("3.27") and box and box["x"] >= 0 and box["x"] + box["width"] <= width


def test_many_variants_are_not_all_drawn(tmp_path):
    variants = {f"v{n:02}": [(3.27 + n / 1e4, 79 + n / 10), (3.275 + n / 1e4, 79.5 + n / 10)] for n in range(15)}
    report = report_of(audit_target(write_speedrun(tmp_path / "2026-07-17_Many", variants), SHORT))
    text = Reader(page(report)).words()
    assert len(report.curves) == 12 and "3 more variants are not drawn" in text and text.count("v14") >= 2


def test_page_shows_the_plan_of_a_record_of_pgolf(audit):
    plan = make_plan_of_runs("mine", "nanogpt_short", "mine", ["this_pr", "baseline"], (), {})
    write_plan(audit.folder, plan)
    text = Reader(page(report_of(audit))).words()
    assert f"Plan of {plan.created}: 2 runs, in this order: this_pr, baseline" in text and plan.sha256 in text


def test_hostile_names(tmp_path):
    evil = "<script>x\x1b[2J$_{"
    folder = write_speedrun(
        tmp_path / f"2026-07-17{evil}", {"baseline": BASELINE, evil: NEW, "_": ((3.2766, 79.1), (3.2781, 79.3))}
    )
    shown = page(report_of(audit_target(folder, SHORT)))
    assert "\x1b" not in shown and "<script>" not in shown
    Reader(shown)
