"""The record that stands for a track is the best that its rules admit, or the one that it names."""

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pgolf import ledger, tracks
from pgolf.cli import app
from pgolf.errors import BadInput
from pgolf.ledger import SeedScore, StandingRecord, write_standing
from pgolf.ledger.choosing import candidates, check_standing, ledger_entry, standing_record, to_beat

MAIN = tracks.load("10min_16mb")
BEST = ledger.load("pr1855")


@pytest.fixture
def entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger of pr1855 and pr1493 alone."""
    monkeypatch.setattr(ledger, "FOLDER", tmp_path)
    for record in (BEST, ledger_entry_of("pr1493")):
        write_standing(tmp_path / f"{record.name}.json", record)
    return tmp_path


def ledger_entry_of(name: str) -> StandingRecord:
    return ledger.load(str(Path(ledger.__file__).parent / "entries" / f"{name}.json"))


def better(**changes: object) -> StandingRecord:
    """An entry whose every score is below pr1855's."""
    seeds = tuple(replace(s, val_bpb=s.val_bpb - 0.01, val_loss=None) for s in BEST.seeds)
    return replace(BEST, **{"name": "better", "seeds": seeds, **changes})  # type: ignore[arg-type]


def each(**changes: object) -> tuple[SeedScore, ...]:
    return tuple(replace(s, **changes) for s in better().seeds)  # type: ignore[arg-type]


def test_the_best_entry_that_the_rules_admit_stands(entries):
    assert to_beat(MAIN) == "pr1855"
    write_standing(entries / "better.json", better())
    assert to_beat(MAIN) == "better"
    assert ledger_entry(MAIN, "of any text") == ledger.load("better")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"seeds": better().seeds[:2]}, "2 seeds, fewer than 3"),
        ({"seeds": each(seed=1337)}, "1 seed, fewer than 3"),
        ({"seeds": each(artifact_bytes=16_000_001)}, "code and model of 16,000,001 bytes, over 16,000,000"),
        ({"seeds": each(train_seconds=599.6, calibration_seconds=3.5)}, "training and calibration of 603.100 s"),
        ({"seeds": each(eval_seconds=601.1)}, "evaluation of 601.100 s, over 600 s"),
        ({"val_bytes": 130_000_000}, "scored 130,000,000 bytes of text, and the track's has 151,080,000"),
        ({"seeds": each(val_bpb=1.05)}, "equal scores to 8 decimals are one run, counted twice"),
    ],
)
def test_an_entry_that_breaks_a_rule_does_not_stand(entries, changes, fault):
    write_standing(entries / "better.json", better(**changes))
    assert to_beat(MAIN) == "pr1855"
    (found,) = [c.faults for c in candidates(MAIN) if c.record.name == "better"]
    assert fault in "; ".join(found)


@pytest.mark.parametrize("changes", [{"train_seconds": 600.9}, {"artifact_bytes": None}, {"eval_seconds": None}])
def test_the_grace_and_a_figure_that_is_unknown_speak_against_nothing(entries, changes):
    write_standing(entries / "better.json", better(seeds=each(**changes)))
    assert to_beat(MAIN) == "better"


def test_an_entry_of_another_track_does_not_stand(entries):
    write_standing(entries / "better.json", better(track="non_record_16mb"))
    assert to_beat(MAIN) == "pr1855"


def test_before_a_day_the_best_earlier_entry_that_the_rules_admit_stood(entries):
    day = date.fromisoformat(BEST.date)
    assert standing_record(MAIN, before=day) == ledger.load("pr1493")
    assert standing_record(MAIN, before=day + timedelta(1)) == BEST
    write_standing(entries / "better.json", better(seeds=better().seeds[:2]))
    write_standing(entries / "undated.json", better(name="undated", date="in April"))
    assert standing_record(MAIN, before=day + timedelta(1)) == BEST
    assert standing_record(MAIN, before=date.fromisoformat(ledger.load("pr1493").date)) is None


def test_a_record_that_the_track_names_stood_only_after_its_day():
    smoke = tracks.load("cpu_smoke")
    assert standing_record(smoke, before=date(2026, 11, 22)) is None
    standing = standing_record(smoke, before=date(2026, 11, 23))
    assert standing and standing.name == "cpu_smoke-base"


def test_a_record_that_the_track_names_stands_whatever_the_ledger_has():
    named = replace(MAIN, standing="pr1493")
    assert standing_record(named) == ledger.load("pr1493")
    assert to_beat(tracks.load("cpu_smoke")) == "cpu_smoke-base"


def test_a_track_without_a_record_to_beat_says_how_to_name_one():
    own = replace(MAIN, name="own")
    with pytest.raises(BadInput, match="no record of track own that its rules admit: name the record to beat"):
        check_standing(own)
    with pytest.raises(BadInput, match=r"no ledger entry 'pr1494' \(did you mean pr1493"):
        check_standing(replace(own, standing="pr1494"))
    assert ledger_entry(replace(own, baseline_preset="smoke-base"), "") is None  # it is measured first
    assert to_beat(replace(own, baseline_preset="smoke-base")) == "smoke-base-here"


def test_the_list_says_which_entry_stands_and_why_a_better_one_does_not():
    listed = json.loads(CliRunner().invoke(app, ["ledger", "list", "--json"]).stdout)
    status = {entry["name"]: entry["status"] for entry in listed}
    assert [name for name, said in status.items() if said == "stands"] == ["pr1855", "cpu_smoke-base"]
    assert status["pr1787"] == "not admitted: training and calibration of 603.068 s, over 600 s"
    assert status["pr1493"] == ""
