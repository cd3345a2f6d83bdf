"""Every public speedrun log that lies beside the repository, against a slow reading of it and tables made by hand."""

import statistics
from pathlib import Path

import pytest
from reference.speedruns import last_loss

from pgolf.evidence.variants import read_variants, result_of

SHARED = Path(__file__).parents[3] / "shared" / "speedrun-records"
pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="no shared/speedrun-records beside the repository")

# made by hand: folder, variant, runs, steps, mean loss, mean seconds
TABLE = [
    ("track_1_short/2024-10-10_Muon", "", 1, 6200, 3.2785, 1339.067),
    ("track_1_short/2025-01-04_SoftCap", "", 1, 1390, 3.2785, 204.345),
    ("track_1_short/2025-08-23_SparseAttnGate", "", 14, 1695, 3.278714, 168.7527),
    ("track_1_short/2026-07-17_FP8DownProjection", "baseline", 13, 1390, 3.278246, 80.7286),
    ("track_1_short/2026-07-17_FP8DownProjection", "this_pr", 13, 1390, 3.278369, 79.6849),
    ("track_2_medium/2025-09-30_SmoothedSnooMedium", "", 1, 5590, 2.919161, 1404.459),
    ("track_3_optimization/results", "20260430_adamh", 5, 4875, 3.274138, 757.2844),
    ("track_3_optimization/results", "20260610_tuned_baseline_3250", 10, 3250, 3.278659, 503.5228),
]


@pytest.fixture(scope="module")
def folders():
    return {name: read_variants(SHARED / name) for name in sorted({row[0] for row in TABLE})}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: "/".join(filter(None, row[:2])))
def test_the_table_made_by_hand(folders, row):
    folder, name, n, steps, loss, seconds = row
    found = folders[folder]
    (variant,) = [v for v in found.variants if v.name == name]
    results = [result_of(run) for run in variant.runs]
    assert (len(results), {r.step for r in results}, {r.planned for r in results}) == (n, {steps}, {steps})
    assert statistics.mean(r.loss for r in results) == pytest.approx(loss, abs=6e-7)
    assert statistics.mean(r.seconds for r in results) == pytest.approx(seconds, abs=6e-5)
    assert variant.copies == variant.repeats == []
    assert variant.unread == found.unread == {}


def test_every_log_has_the_result_of_the_slow_reading(folders):
    runs = [run for found in folders.values() for variant in found.variants for run in variant.runs]
    assert sorted(run.log for run in runs) == sorted(SHARED.rglob("*.txt"))
    assert len(runs) == 58
    for run in runs:
        result = result_of(run)
        assert (result.loss, result.seconds, result.step, result.planned) == last_loss(run.log)


def test_the_reviewers_figures(folders):
    found = folders["track_1_short/2026-07-17_FP8DownProjection"]
    this = [result_of(run) for run in found.variants[1].runs]
    assert f"{statistics.mean(r.loss for r in this):.7f} {statistics.stdev(r.loss for r in this):.7f}" == (
        "3.2783692 0.0014156"
    )
    assert f"{statistics.mean(r.seconds for r in this):.6f} {statistics.stdev(r.seconds for r in this):.6f}" == (
        "79.684923 0.182767"
    )
    assert found.baseline is found.variants[0]
    assert folders["track_3_optimization/results"].baseline is None
