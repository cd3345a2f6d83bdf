"""The frontier over time: who makes it, how the others look, and that one odd record does not flatten it."""

from dataclasses import replace
from datetime import date

import pytest
from good_entry import Folder

from pgolf import tracks
from pgolf.audit.audit import audit
from pgolf.audit.checks import Check
from pgolf.report import figures
from pgolf.report.frontier import Axis, Dated, Kind, draw, leaders
from pgolf.report.leaderboard import COUNTS, FAILS, ONE, PAPERS_FAIL, dated, leaderboards
from pgolf.report.row import Row, row_of

TRACK = tracks.load("10min_16mb")
AXIS = Axis("bits per byte", "{:.4f}".format)
PAPERS = ("required-files", "claimed-mean")
GOOD = Row("good", None, None, TRACK, date(2026, 4, 1), 3, 1.0800, 0.0002, (), (), None)


def row(day: int, mean: float | None, *failed: str, seeds: int = 3, std: float | None = 0.0002) -> Row:
    checks = tuple(Check(name, "fail", "", of_papers=name in PAPERS) for name in failed)
    return replace(GOOD, name=f"r{day}", day=date(2026, 4, day), mean=mean, seeds=seeds, std=std, findings=checks)


def frame(rows: list[Row]) -> tuple[float, float]:
    return draw(dated(rows), leaders(rows), AXIS).axes[0].get_ylim()


def words(rows: list[Row]) -> str:
    return figures.as_svg(draw(dated(rows), leaders(rows), AXIS), "x")


FALLING = [row(day, 1.10 - 0.002 * day) for day in range(1, 9)]


def test_the_frontier_is_of_several_seeds_whose_runs_fail_no_check():
    one, over = row(9, 1.02, "seed-count", seeds=1, std=None), row(10, 1.01, "artifact-bytes", "required-files")
    both, two = row(12, 1.0, "seed-count", "eval-seconds", seeds=1), row(13, 0.9, "seed-count", seeds=2)
    paper, none = row(11, 1.07, "required-files", "claimed-mean"), row(14, None)
    rows = [*FALLING, one, over, both, two, paper, none]
    assert leaders(rows) == [*FALLING, paper]
    assert [r.doubt for r in (one, over, both, two, paper, none)] == [
        "one seed",
        "fails artifact-bytes",
        "one seed, fails eval-seconds",
        "fails seed-count",
        "",
        "no score",
    ]
    kinds = [p.kind for p in dated([GOOD, one, over, both, two, paper, none])]
    assert kinds == [COUNTS, ONE, FAILS, FAILS, FAILS, PAPERS_FAIL]
    assert len({(k.marker, k.hollow) for k in (COUNTS, ONE, FAILS, PAPERS_FAIL)}) == 4  # told apart without colours
    assert all(k.label in words(rows) for k in (COUNTS, ONE, FAILS, PAPERS_FAIL))


@pytest.mark.parametrize(
    ("claims", "check"), [({"val_bpb": 1.0}, "claimed-mean"), ({"bytes_total": 15_432_101}, "artifact-bytes")]
)
def test_a_wrong_claim_keeps_no_runs_off_the_frontier(tmp_path, claims, check):
    folder = Folder(tmp_path / "2026-04-25_Good")
    folder.write()
    folder.claim(**claims)
    assert row_of(audit(folder.path)).doubt == "" and audit(folder.path).check(check).status == "fail"
    folder.edit_logs("Total submission size quantized+brotli: 15", "Total submission size quantized+brotli: 16")
    assert row_of(audit(folder.path)).doubt == "fails artifact-bytes"


def test_of_one_day_the_best_leads_alone():
    worse, best = row(2, 1.09), replace(row(2, 1.08), name="best")
    assert leaders([worse, best, row(3, 1.08), row(4, 1.085)]) == [best]


def test_an_outlier_is_an_arrow_with_its_value_at_the_edge():
    odd = [row(3, 1.4074, std=0.14), row(5, 0.0012, "score-before-update")]
    low, high = frame([*FALLING, *odd])
    assert 1.07 < low < 1.084 and 1.098 < high < 1.11
    drawn = words([*FALLING, *odd])
    assert "1.4074</" in drawn and "0.0012</" in drawn
    assert "2026-04-03 \u00b7 1.40740 bpb" in drawn, "an arrow tells on hovering what it stands for"


def test_a_wide_interval_is_cut_at_the_edge_and_says_how_wide_it_is():
    wide = row(5, 1.09, std=0.0566)
    low, high = frame([*FALLING, wide])
    assert high - low < 0.03 and f"\u00b1{wide.half_interval:.2g}" in words([*FALLING, wide])
    low, high = frame([*FALLING, row(5, 1.0842, std=0.001)])
    assert low < 1.0842 - 0.0025, "a short interval is shown whole"


def test_a_better_outlier_that_counts_is_the_frontier_and_in_the_frame():
    low, _ = frame([*FALLING, row(9, 0.9)])
    assert low < 0.9


@pytest.mark.parametrize("values", [(1.0, 1.0), (1.0, 1e300), (-1.0, 0.0)])
def test_few_and_odd_values_are_drawn(values):
    rows = [row(1, value) for value in values]
    low, high = frame(rows)
    assert low < high and words(rows)


def test_values_that_are_no_numbers_are_not_drawn_and_do_not_lead():
    rows = [row(1, float("nan")), row(2, float("inf")), row(3, 1.08), row(4, 1.07)]
    assert [p.value for p in dated(rows)] == [1.08, 1.07] and leaders(rows) == rows[2:]


def test_an_archive_without_a_record_that_counts_has_points_and_no_line():
    rows = [row(day, 1.1, seeds=1, std=None) for day in (1, 2)]
    assert not draw(dated(rows), leaders(rows), AXIS).axes[0].lines


def test_table_says_of_each_record_what_the_plot_shows():
    (board,) = leaderboards([*FALLING, row(9, 1.02, seeds=1)])
    assert board.leaders == FALLING and board.chart().count("<svg") == 2


def test_logarithmic_axis_keeps_outliers_out_too():
    kind = Kind("k", figures.SEEDS[0], "o")
    values = [2700, 1900, 1300, 900, 600, 400, 280, 190, 130, 90, 1e9]
    points = [Dated(date(2026, 1, n), v, None, kind, "") for n, v in enumerate(values, 1)]
    axes = draw(points, [], Axis("s", "{:.0f}".format, log=True)).axes[0]
    assert axes.get_yscale() == "log" and axes.get_ylim()[0] < 90 and 2700 < axes.get_ylim()[1] < 10_000
