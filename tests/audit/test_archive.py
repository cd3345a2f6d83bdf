"""Which folders of a repository are records: of the contest by submission.json, of speedruns by track, day and logs."""

from pathlib import Path

import pytest
from good_entry import Folder

from pgolf.audit import archive
from pgolf.audit.archive import record_folders
from pgolf.errors import BadInput

SHARED = Path(__file__).parents[2] / ".." / "shared"


def touch(root: Path, *logs: str) -> None:
    for log in logs:
        (root / log).parent.mkdir(parents=True, exist_ok=True)
        (root / log).write_text("step:1/1 val_loss:3.2000 train_time:1ms\n")


def found(root: Path, below: str = "") -> list[str]:
    return [f.relative_to(root).as_posix() for f in record_folders(root / below)]


def test_a_variants_folder_is_no_record_of_its_own(tmp_path):
    touch(tmp_path, "track_1_short/2026-07-17_FP8/this_pr/a.txt", "track_1_short/2026-07-17_FP8/baseline/b.txt")
    touch(tmp_path, "track_1_short/2026-07-18_Deep/ablation/no_mlp/a.txt")
    assert found(tmp_path) == ["track_1_short/2026-07-17_FP8", "track_1_short/2026-07-18_Deep"]


def test_days_without_hyphens_and_folders_between(tmp_path):
    touch(tmp_path, "records/track_3_optimization/results/20260430_adamh/a.txt")
    touch(tmp_path, "records/track_3_optimization/results/20260610_tuned_baseline_3250/b.txt")
    expected = ["20260430_adamh", "20260610_tuned_baseline_3250"]
    assert found(tmp_path) == [f"records/track_3_optimization/results/{name}" for name in expected]
    assert found(tmp_path / "records" / "track_3_optimization") == [f"results/{name}" for name in expected]
    assert found(tmp_path / "records/track_3_optimization/results") == expected


def test_the_record_itself_is_one(tmp_path):
    touch(tmp_path, "track_2_medium/2025-09-30_Snoo/a.txt")
    assert record_folders(tmp_path / "track_2_medium/2025-09-30_Snoo") == [tmp_path / "track_2_medium/2025-09-30_Snoo"]


def test_a_record_without_a_day(tmp_path):
    touch(
        tmp_path, "track_1_short/mine/this_pr/a.txt", "track_1_short/mine/baseline/b.txt", "track_1_short/other/c.txt"
    )
    assert found(tmp_path) == ["track_1_short/mine", "track_1_short/other"]


@pytest.mark.parametrize("beside", ["a.txt", "baseline/a.txt", "run.log"])
def test_a_folder_of_dated_records_is_no_record_itself(tmp_path, beside):
    results = "track_3_optimization/results"
    touch(tmp_path, f"{results}/20260430_adamh/a.txt", f"{results}/20260610_muon/b.txt", f"{results}/{beside}")
    assert {f"{results}/20260430_adamh", f"{results}/20260610_muon"} <= set(found(tmp_path))
    assert results not in found(tmp_path)


def test_what_is_no_record(tmp_path):
    touch(tmp_path, "track_1_short/2026-07-17_Good/a.txt")
    touch(tmp_path, "track_1_short/notes.txt", "track_1_short/requirements.txt", "elsewhere/2026-07-17_X/a.txt")
    touch(tmp_path, "track_1_short/2026-07-18_No_Logs/README.md", "track_1_short/2026-07-19_Deep/a/b/c/d.txt")
    (tmp_path / "track_1_short/2026-07-20_Link").symlink_to(tmp_path / "track_1_short/2026-07-17_Good")
    assert found(tmp_path) == ["track_1_short/2026-07-17_Good"]


def test_both_contests_in_one_folder(tmp_path):
    touch(tmp_path, "records/track_1_short/2026-07-17_Fast/a.txt")
    Folder(tmp_path / "records/track_10min_16mb/2026-04-25_Low").write()
    Folder(tmp_path / "records/2026-04-26_Low").write()
    # logs beside a submission.json, and such folders below one, are as ever
    touch(tmp_path, "records/track_10min_16mb/2026-04-27_Logs_Only/a.txt")
    expected = ["2026-04-26_Low", "track_10min_16mb/2026-04-25_Low", "track_1_short/2026-07-17_Fast"]
    assert found(tmp_path) == [f"records/{name}" for name in expected]


def test_an_archive_without_a_record_says_what_one_is(tmp_path):
    (tmp_path / "track_1_short").mkdir()
    with pytest.raises(BadInput, match=r"submission\.json, or lies with logs in a speedrun track's folder"):
        record_folders(tmp_path)


def test_no_more_is_looked_at_than_the_bound(tmp_path, monkeypatch):
    touch(tmp_path, *(f"track_1_short/2026-07-17_A/v{i}/w{j}/x.md" for i in range(9) for j in range(9)))
    touch(tmp_path, "track_1_short/2026-07-18_B/a.txt")
    monkeypatch.setattr(archive, "MOST_LOOKED_AT", 30)
    search = archive._Search(tmp_path, 30)
    list(search.records())
    assert search.left == 0


@pytest.mark.skipif(not (SHARED / "speedrun-records").is_dir(), reason="no public logs here")
def test_the_shared_speedruns_are_found():
    names = {f.name for f in record_folders(SHARED / "speedrun-records")}
    assert names == {
        "2024-10-10_Muon",
        "2025-01-04_SoftCap",
        "2025-08-23_SparseAttnGate",
        "2026-07-17_FP8DownProjection",
        "2025-09-30_SmoothedSnooMedium",
        "20260430_adamh",
        "20260610_tuned_baseline_3250",
    }
