"""`pgolf record` from text to submission, with the real command and trainer, and a second run of it. How else a record
can end is seen from records whose seeds replay what the trainer did in that one."""

import json
import shutil
from datetime import datetime
from pathlib import Path

import pytest
import replay
from seconds import TINY, Made, record_here, track_against

from pgolf import ledger, tracks
from pgolf.audit.audit import audit_folders
from pgolf.data.dataset import Dataset
from pgolf.evidence.logs import read_run
from pgolf.evidence.probes import read_probes
from pgolf.files import sha256_file, write_json
from pgolf.record.early_stop import Decision, write_decision

pytestmark = pytest.mark.usefixtures("shared_server")
SEEDS = (42, 314, 999)


@pytest.fixture
def replayed(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records of this test replay the seeds of the one that was made."""
    replay.install(made.folder / "seeds", monkeypatch.setattr, pace_s=0.0)


def pods(folder: Path) -> dict[str, str]:
    """Every pod.json of a record: who ran what, and when it was started."""
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("pod.json")}


def test_record_ends_with_a_submission_that_its_own_audit_passes(made: Made) -> None:
    submission = Path(made.outcome["path"])
    assert submission.parent == made.folder / "records" / "tiny_track"
    names = {p.name for p in submission.iterdir()}
    assert {"README.md", "submission.json", "train_gpt.py", *(f"train_seed{s}.log" for s in SEEDS)} <= names
    (audit,) = audit_folders([submission], tracks.load(str(TINY / "tiny_track.toml")))
    assert not audit.failed
    assert audit.check("train-val-disjoint").status == "pass", "the dataset's manifest lies in the folder"
    assert [r.seed.value for r in audit.runs if r.seed] == list(SEEDS)
    assert (submission / "train_gpt.py").read_bytes() == (made.folder / "train_gpt.py").read_bytes()


def test_evaluation_is_probed_once_and_the_submission_says_what_was_seen(made: Made) -> None:
    submission = Path(made.outcome["path"])
    probed = read_probes(submission / "probes.jsonl")
    artifact = made.folder / "seeds" / str(probed.seed) / "attempt-1" / "final_model.int6.ptz"
    assert probed.artifact == sha256_file(artifact)
    assert {r.probe for r in probed.results} >= {"causal", "score before update", "sealed"}
    assert all(r.passed for r in probed.results)
    assert made.stderr.count("probing the evaluation") == 1
    assert json.loads((submission / "submission.json").read_text())["compliance"]["score_first_ttt"] is True


def test_manifest_lists_what_is_there(made: Made) -> None:
    listed = json.loads((made.folder / "manifest.json").read_text())["files"]
    assert {f"seeds/{s}/attempt-1/final_model.int6.ptz" for s in SEEDS} <= listed.keys()
    assert all(sha256_file(made.folder / name) == sha256 for name, sha256 in listed.items())


def test_seeds_were_planned_before_the_first_one_ran(made: Made) -> None:
    plan = json.loads((made.folder / "plan.json").read_text())
    assert plan["seeds"] == list(SEEDS)
    starts = [json.loads((made.folder / f"seeds/{s}/attempt-1/pod.json").read_text())["started"] for s in SEEDS]
    assert datetime.fromisoformat(plan["created"]).timestamp() < min(starts)


def test_standing_record_is_measured_where_the_ledger_has_none(made: Made) -> None:
    assert "its seeds run here first" in made.stderr
    standing = ledger.load(str(made.folder / "baseline" / "standing.json"))
    assert [s.seed for s in standing.seeds] == list(SEEDS)
    assert made.outcome["comparison"]["n_old"] == 3


def test_a_person_can_read_what_it_says(made: Made) -> None:
    assert "Traceback" not in made.stderr
    assert "telemetry" not in made.stderr
    of_prefect = [line for line in made.stderr.splitlines() if "prefect" in line.lower()]
    assert len(of_prefect) == 1 and "prefect: starting a server for this command" in of_prefect[0]
    assert "seed 42: started" in made.stderr


def test_page_ends_with_the_verdict_and_the_way_to_the_report(made: Made) -> None:
    page = (made.folder / "live.html").read_text()
    assert 'data-state="finished"' in page
    assert "A RECORD: val_bpb" in page
    assert f'href="{Path(made.outcome["path"]).relative_to(made.folder).as_posix()}/report.html"' in page
    assert page.count("75 % of the training is done") == 1
    assert all(page.count(f"seed {seed} is done: val_bpb") == 1 for seed in SEEDS)
    assert page.count("<polyline") == 6  # the standing record is measured here, too: its seeds have curves of their own


def test_results_are_kept_as_json(made: Made) -> None:
    results = list((made.folder / "results").iterdir())
    assert len(results) == 1 + 3 + 3 + 1  # preflight, baseline, seeds, submission
    for path in results:
        assert json.loads(path.read_bytes())["metadata"]["serializer"]["type"] == "json"


def test_second_run_repeats_nothing_and_says_so(made: Made, tiny_data: Dataset) -> None:
    before, readme = pods(made.folder), Path(made.outcome["path"], "README.md").stat().st_mtime_ns
    code, again, stderr = record_here(TINY / "tiny_track.toml", tiny_data, made.runs_dir)
    assert code == 0
    assert again
    assert again.outcome == made.outcome
    assert pods(made.folder) == before
    assert Path(made.outcome["path"], "README.md").stat().st_mtime_ns == readme
    for seed in SEEDS:
        assert f"seed {seed}: reused" in stderr


def test_no_better_is_a_report_and_exit_1(
    made: Made, tiny_track: Path, tiny_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replay.install(made.folder / "baseline", monkeypatch.setattr, pace_s=0.0)
    same = ["--preset", str(TINY / "tiny_base.toml"), "--set", "TTT_LR=0.004"]
    code, worse, stderr = record_here(tiny_track, tiny_data, tmp_path, "--no-probe", *same)
    assert code == 1, stderr
    assert worse
    assert not worse.outcome["positive"]
    assert worse.outcome["reasons"]
    assert Path(worse.outcome["path"]) == worse.folder / "report"
    assert "README.md" in {p.name for p in (worse.folder / "report").iterdir()}
    assert not (worse.folder / "records").exists()
    before = pods(worse.folder)
    code, again, stderr = record_here(tiny_track, tiny_data, tmp_path, "--no-probe", *same, "--non-record")
    assert code == 0 and again, stderr
    assert (again.outcome["positive"], again.outcome["non_record"]) == (False, True)
    assert pods(worse.folder) == before, "the seeds have run; only the folder is written"
    assert not (worse.folder / "report").exists(), "which says that there is none"
    (audited,) = audit_folders([Path(again.outcome["path"])])
    assert audited.track.name == "non_record_16mb" and not audited.failed


@pytest.mark.usefixtures("replayed")
def test_failed_seed_is_not_run_again_and_the_report_says_so(
    tiny_track: Path, tiny_data: Dataset, tmp_path: Path
) -> None:
    attempt = tmp_path / "failing" / "seeds" / "314" / "attempt-1"
    write_json(attempt / "pod.json", {"pid": 1, "started": 1.0, "command": []})
    write_json(attempt / "exit.json", {"exit_code": 1, "signals": [], "ended": 2.0})
    (attempt / "train.log").write_text("error: RunFailed: loss or gradient is not finite at step 7\n")
    code, made, stderr = record_here(tiny_track, tiny_data, tmp_path, "--no-probe", "--id", "failing")
    assert code == 1
    assert made
    assert "loss or gradient is not finite at step 7" in stderr
    assert any("314" in reason for reason in made.outcome["reasons"])
    assert [s["seed"] for s in made.outcome["seeds"]] == [42, 999]
    assert Path(made.outcome["path"]) == made.folder / "report"
    assert "not finite at step 7" in (made.folder / "report" / "README.md").read_text()
    assert [p.name for p in attempt.parent.iterdir()] == ["attempt-1"]


def test_changed_artifact_is_noticed(made: Made, tiny_data: Dataset, tmp_path: Path) -> None:
    runs_dir = shutil.copytree(made.runs_dir, tmp_path / "runs")
    artifact = runs_dir / made.folder.name / "seeds/314/attempt-1/final_model.int6.ptz"
    artifact.write_bytes(artifact.read_bytes()[:-1] + b"x")
    code, _, stderr = record_here(TINY / "tiny_track.toml", tiny_data, runs_dir)
    assert code == 1
    assert "final_model.int6.ptz was changed after it was made" in stderr


@pytest.mark.usefixtures("replayed")
def test_seed_ended_early_is_not_replaced_and_the_report_says_so(
    tiny_track: Path, tiny_data: Dataset, tmp_path: Path
) -> None:
    attempt = tmp_path / "early" / "seeds" / "314" / "attempt-1"
    write_json(attempt / "pod.json", {"pid": 1, "started": 1.0, "command": []})
    write_decision(attempt, Decision("limits", "evaluation is going to take too long", 12, "2026-11-26T00:00:00+00:00"))
    write_json(attempt / "exit.json", {"exit_code": 1, "signals": [15], "ended": 2.0})
    code, made, _ = record_here(tiny_track, tiny_data, tmp_path, "--no-probe", "--id", "early", "--stop-early")
    assert code == 1
    assert made
    assert made.outcome["reasons"] == [
        "seed 314 was planned and did not finish (ended early: evaluation is going to take too long)",
        *made.outcome["reasons"][1:],
    ]
    readme = (made.folder / "report" / "README.md").read_text()
    assert "a seed that misses a hard limit, or is bound to, is ended early and not replaced" in readme
    assert "| 314 | 1 | ended early |" in readme
    assert [p.name for p in attempt.parent.iterdir()] == ["attempt-1"]
    code, _, stderr = record_here(tiny_track, tiny_data, tmp_path, "--no-probe", "--id", "early", "--no-stop-early")
    assert code == 2
    assert "holds a plan that differs from this one in early_stop" in stderr


def test_hopeless_seeds_are_ended_and_their_record_is_a_report(
    made: Made, tiny_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside itself a record is not hopeless; with losses as from the learning rate of a typing error it is."""
    runs = [read_run(made.folder / f"seeds/{seed}/attempt-1/train.log") for seed in SEEDS]
    facts = {"name": "itself", "track": "tiny_track", "title": "", "date": "2026-11-26", "author": "", "source": ""}
    standing = ledger.write_standing(tmp_path / "itself.json", ledger.from_runs(runs, **facts))
    track = track_against(standing, tmp_path)
    worse = """text = re.sub(r'("train_loss": )([0-9.]+)', lambda found: found[1] + str(float(found[2]) + 9), text)"""
    replay.install(made.folder / "seeds", monkeypatch.setattr, edit=worse)
    code, nothing, stderr = record_here(track, tiny_data, tmp_path, "--id", "hopeless", "--stop-hopeless")
    assert (code, nothing) == (1, None)
    assert stderr.count("nats worse than") >= 3
    assert "no seed finished" in stderr
    report = (tmp_path / "hopeless/report/README.md").read_text()
    assert report.count("| ended early |") == 3
    assert "quantile 1 of the seeds of itself there" in report
    assert not list(tmp_path.glob("hopeless/seeds/*/attempt-2"))
