"""The score to beat is told beside its name, and a preset whose own score is no record is told before it runs."""

import math
from pathlib import Path

import pytest

from pgolf import presets
from pgolf.errors import BadInput
from pgolf.pods.places import check_wanted
from pgolf.record.planned import plan_record
from pgolf.record.prospect import Prospect, prospect_of
from pgolf.record.request import check_request

BAR = 1.06107587 - 0.005 / math.log(2) / 3.157151518  # below pr1855


def of(track: str = "10min_16mb", preset: str | None = None, **given) -> Prospect:
    return prospect_of(check_request(track, preset, **given))


def test_what_is_to_be_beaten_has_a_score_and_a_bar():
    told = of()
    assert (told.name, told.mean, told.bar) == ("pr1855", pytest.approx(1.06107587), pytest.approx(BAR))
    assert list(told.lines()) == ["pr1855: 1.06108 bpb, 3 seeds; a record's mean is below 1.05879"]
    assert list(of(against="1.08,1.09").lines()) == ["the given numbers: 1.08500 bpb, 2 seeds"]
    here = list(of("cpu_smoke").lines())
    assert here[0].startswith("cpu_smoke-base: 2.63643 bpb, 3 seeds; ") and "measured here first" in here[1]


@pytest.mark.parametrize(
    ("given", "own"),
    [
        ({}, 1.07303003),  # the track's own preset, pr1812, as it was published
        ({"preset": "pr1493"}, 1.08100288),  # by the ledger
        ({"preset": "pr1855"}, 1.06107587),  # it is the record that stands
    ],
)
def test_preset_whose_own_score_is_no_record_is_told_with_what_to_do(given, own):
    told = of(**given)
    assert told.own == pytest.approx(own) and told.warning
    said = f"preset {told.preset} is known to reach {own:.5f}, and a record over pr1855 (1.06108) is below 1.05879: "
    assert told.warning.startswith(said)
    for option in ("--preset", "--against", "--non-record"):
        assert option in told.warning


@pytest.mark.parametrize(
    "given",
    [
        {"non_record": True},
        {"against": "pr1493"},  # pr1812 was one over it
        {"overrides": {"ttt_epochs": 5}},  # another preset, whose score nobody knows
        {"preset": "smoke", "overrides": {"vocab_size": 512}},
        {"track": "cpu_smoke"},
    ],
)
def test_nothing_is_said_where_a_record_may_come_of_it(given):
    assert of(**given).warning is None


def test_plan_shows_both(tmp_path: Path):
    planned = plan_record(check_request("10min_16mb"), check_wanted(), None, None, tmp_path, tmp_path)
    rows = list(planned.rows())
    assert ("to beat", "pr1855: 1.06108 bpb, 3 seeds; a record's mean is below 1.05879") in rows
    assert dict(rows)["no record"] == planned.prospect.warning == planned.as_json()["warning"]
    assert "non-record" not in dict(rows)
    planned = plan_record(check_request("10min_16mb", non_record=True), check_wanted(), None, None, tmp_path, tmp_path)
    rows = list(planned.rows())
    assert dict(rows)["non-record"].endswith("track non_record_16mb") and "no record" not in dict(rows)
    told = planned.as_json()
    assert (told["against"], told["non_record"], told["warning"]) == ("pr1855", True, None)
    assert told["against_bpb"] == pytest.approx(1.06107587) and told["bar_bpb"] == pytest.approx(BAR)


def test_published_score_is_of_the_preset_itself_and_checked(tmp_path: Path):
    assert presets.published("pr1812") == presets.Published("10min_16mb", 1.07303003)
    mine = tmp_path / "mine.toml"
    mine.write_text('extends = "pr1812"\n')
    assert presets.published(str(mine)) is None
    for wrong in ("1.07", '{ track = "10min_16mb" }', '{ track = "10min_16mb", val_bpb = -1.0 }'):
        mine.write_text(f'extends = "pr1812"\npublished = {wrong}\n')
        with pytest.raises(BadInput, match=r"mine\.toml: write 'published' as"):
            presets.load(str(mine))
