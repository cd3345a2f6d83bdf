"""`--against`: whatever a user names as the record to beat becomes one, with no more known of it than was said."""

import json
from dataclasses import asdict

import pytest
from good_entry import BPB, SEEDS, Folder

from pgolf import tracks
from pgolf.errors import BadInput
from pgolf.ledger import load, names, write_standing
from pgolf.ledger.against import standing_of
from pgolf.stats.comparison import compare
from pgolf.stats.sample import from_seeds

TRACK = tracks.load("10min_16mb")
NEW = [1.0701, 1.0703, 1.0702]


def test_an_entry_by_name_and_by_file(tmp_path):
    path = write_standing(tmp_path / "mine.json", load("pr1493"))
    assert standing_of("pr1493", TRACK) == standing_of(str(path), TRACK) == load("pr1493")


def test_a_record_folder_gives_its_logs_scores(tmp_path):
    folder = Folder(tmp_path / "2026-04-25_Something")
    folder.write()
    standing = standing_of(str(folder.path), TRACK)
    assert standing.name == "2026-04-25_Something"
    assert {s.seed: s.val_bpb for s in standing.seeds} == {seed: BPB[seed] for seed in SEEDS}
    assert standing.bytes_per_token is not None and standing.hyperparameters


def test_scores_alone_know_neither_seeds_nor_tokens():
    standing = standing_of("1.0810,1.08030,1.0812", TRACK)
    sample = standing.sample()
    assert sample.values == (1.0810, 1.0803, 1.0812)
    assert sample.decimals == 5 and sample.seeds == () and not sample.rounded
    assert standing.track == "10min_16mb"
    assert standing.bytes_per_token is None and standing.val_bytes is None and not standing.hyperparameters


def test_a_summary_keeps_its_rounding_and_its_spread(tmp_path):
    standing = standing_of("mean=1.0810,std=0.0002,n=3", TRACK)
    sample = standing.sample()
    assert (sample.mean, sample.std, sample.n, sample.std_rounding) == (1.081, 0.0002, 3, 5e-5)
    assert load(str(write_standing(tmp_path / "it.json", standing))) == standing


@pytest.mark.parametrize("text", ["1.0810,1.0803,1.0812", "mean=1.0810,std=0.0004,n=3"])
def test_the_new_records_tokens_convert_the_bar_against_numbers(text):
    new = from_seeds("new", NEW, bytes_per_token=3.7266)
    found = compare(new, standing_of(text, TRACK).sample())
    assert found.clears and found.margin_bpb == pytest.approx(0.005 / 0.6931472 / 3.7266)
    assert any("bytes per token of the given numbers are unknown" in note for note in found.notes)


def test_one_score_has_no_spread_and_so_no_test():
    found = compare(from_seeds("new", NEW, bytes_per_token=3.7266), standing_of("1.0810", TRACK).sample())
    assert not found.clears and "one seed" in found.verdict


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("pr1439", "did you mean pr1493"),
        ("no/such/folder", "no ledger entry and no folder"),
        ("gone.json", r"gone\.json: no such file"),
        ("1.08,-1", "positive numbers"),
        ("mean=1.08,std=0.1", "is no summary"),
        ("1.08,1.09,", "no list of bpb scores"),
        ("mean=nan,std=0,n=3", "finite"),
    ],
)
def test_what_names_no_record(text, why):
    with pytest.raises(BadInput, match=why):
        standing_of(text, TRACK)


@pytest.mark.parametrize("text", ["nothing", "pr1812", "HessianSDClip"])
def test_what_names_no_record_is_told_in_a_line_that_one_can_read(text):
    with pytest.raises(BadInput) as told:
        standing_of(text, TRACK)
    assert "`pgolf ledger list`" in str(told.value)
    assert sum(name in str(told.value) for name in names()) <= 3
    assert ("2026-04-06_SP8192_HessianSDClip" in str(told.value)) == (text == "HessianSDClip")
    with pytest.raises(BadInput, match=r"`pgolf ledger list` lists them") as told:
        load(text)
    assert sum(name in str(told.value) for name in names()) <= 3


def test_a_folder_without_scores_is_bad_input(tmp_path):
    folder = Folder(tmp_path / "2026-04-25_Something")
    folder.write()
    for seed in SEEDS:
        folder.log(seed).write_text(folder.log(seed).read_text().split("pre-quantization")[0])
    with pytest.raises(BadInput, match="no runs"):
        standing_of(str(folder.path), TRACK)


def test_an_entry_of_seeds_is_written_as_before(tmp_path):
    path = write_standing(tmp_path / "it.json", load("pr1493"))
    assert json.loads(path.read_text()).keys() == asdict(load("pr1493")).keys() - {"summary"}
