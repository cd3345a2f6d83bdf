"""Which track a folder is of, and what is asked of it there."""

import math

import pytest
from good_entry import SEEDS, Folder, with_status

from pgolf import tracks
from pgolf.audit.audit import audit
from pgolf.errors import BadInput
from pgolf.record.request import check_request


@pytest.mark.parametrize(
    ("folder", "claims", "track"),
    [
        ("2026-04-25_A_Record", {}, "10min_16mb"),
        ("2026-04-25_A_Record", {"track": None}, "10min_16mb"),
        ("2026-04-25_A_Record", {"track": "Track 10min-8xH100-16MB"}, "10min_16mb"),
        ("2026-04-25_A_Record", {"track": "cpu_smoke"}, "cpu_smoke"),
        ("2026-04-25_A_Record", {"track": "non-record-10min-16mb"}, "non_record_16mb"),
        ("2026-04-25_A_Record", {"track": "track_non_record_16mb"}, "non_record_16mb"),
        ("2026-04-25_A_Record", {"track": "unlimited compute"}, "non_record_16mb"),
        ("2026-04-25_A_Record", {"is_record": False}, "non_record_16mb"),
        ("2026-04-25_A_NonRecord", {}, "non_record_16mb"),
        ("track_non_record_16mb/2026-04-25_A", {}, "non_record_16mb"),
        ("track_non_record_16mb/2026-04/2026-04-25_A", {"track": None}, "non_record_16mb"),
        ("track_non_record_16mb__2026-04-25_A", {"track": None}, "non_record_16mb"),
        ("track_10min_16mb/2026-04-25_A", {"track": "mine"}, "10min_16mb"),
        ("2026-04-25_NonRecordable", {"track": "a speedrun in 4 h"}, "a speedrun in 4 h"),
    ],
)
def test_the_track_of_a_folder(tmp_path, folder, claims, track):
    f = Folder(tmp_path / folder)
    f.write()
    f.claim(**claims)
    assert audit(f.path).track.name == track


@pytest.mark.parametrize(
    ("said", "track"),
    [
        ("track_1_short", "nanogpt_short"),
        ("track_2_medium", "nanogpt_medium"),
        ("track_3_optimization", "nanogpt_optimization"),
        ("nanogpt-short", "nanogpt_short"),
        ("Track 1", "nanogpt_short"),
        ("track 2 (medium)", "nanogpt_medium"),
        ("NanoGPT speedrun, track 3", "nanogpt_optimization"),
        ("modded-nanogpt track 1", "nanogpt_short"),
        ("GPT-2 medium speedrun", "nanogpt_medium"),
        ("nanogpt speedrun optimisation", "nanogpt_optimization"),
        ("track_10min_16mb", "10min_16mb"),
        ("track 10", None),
        ("track 12", None),
        ("small", None),
        ("medium", None),
        ("speedrun", None),
        ("modded-nanogpt", None),
        ("my-nanogpt-small-experiments", None),
        ("2025-09-30_SmoothedSnooMedium", None),
    ],
)
def test_words_for_the_tracks_of_speedruns(said, track):
    assert tracks.recognised(said) == track


def long_on_one_card(f):
    """Ten hours on one other card, evaluated for 20 minutes, and over the cap."""
    f.edit_logs("train_time: 5870", "train_time: 360015")
    f.edit_logs("eval_time:366525ms", "eval_time:1266525ms")
    f.edit_logs("NVIDIA H100 80GB HBM3", "NVIDIA GeForce RTX    ")
    f.edit_logs("world_size: 8", "world_size: 1")
    f.edit("train_seed999.log", "brotli: 15975199 bytes", "brotli: 15995199 bytes")
    f.edit("train_seed999.log", "brotli: 15990199 bytes", "brotli: 16010199 bytes")
    for seed in SEEDS[1:2]:
        f.log(seed).unlink()
    f.claim(seeds=None, seed_results=None, val_bpb=1.078982155, val_bpb_std=None, bytes_total=None)


RULES = {"train-seconds", "train-plus-calibration-seconds", "eval-seconds", "hardware"}


def test_a_track_without_limits_of_time_asks_for_size_and_honesty(folder):
    long_on_one_card(folder)
    assert with_status(audit(folder.path), "fail") == RULES | {"seed-count", "artifact-bytes"}
    folder.claim(track="non_record_16mb")
    found = audit(folder.path)
    assert with_status(found, "fail") == {"artifact-bytes"}
    assert found.check("train-seconds").message == "training took at most 36001.599 s (this track sets no limit)"
    folder.claim(val_bpb=1.0770)
    assert with_status(audit(folder.path), "fail") == {"artifact-bytes", "claimed-mean"}


def test_a_track_for_no_records_asks_for_no_number_of_logs(folder):
    folder.log(999).unlink()
    assert with_status(audit(folder.path), "fail") == {"seed-count"}
    folder.claim(track="non_record_16mb")
    found = audit(folder.path)
    assert not found.failed and found.check("seed-count").message == "claims 3 seeds, there are logs of 2"
    for seed in SEEDS[:2]:
        folder.log(seed).unlink()
    assert audit(folder.path).check("seed-count").status != "fail"


def test_a_validation_score_may_be_claimed_openly_where_no_record_is(folder):
    """Three logs that end with training: the last validation gave 2.8119 nats."""
    for seed in SEEDS:
        text = folder.log(seed).read_text()
        folder.log(seed).write_text(text[: text.index("pre-quantization")])
    folder.claim(val_bpb=1.0886, val_loss=2.8119, val_bpb_std=None, seed_results=None, bytes_total=None)
    assert "log-complete" in with_status(audit(folder.path), "fail")
    folder.claim(track="non_record_16mb")
    found = audit(folder.path)
    assert not found.failed and "never evaluated" in found.check("log-complete").message
    folder.claim(val_loss=2.7119)
    assert with_status(audit(folder.path), "fail") == {"log-complete"}


def test_of_an_unknown_track_only_what_needs_no_rules_is_checked(folder):
    long_on_one_card(folder)
    folder.claim(track="speedrun-4h", val_bpb=1.0770)
    found = audit(folder.path)
    assert with_status(found, "fail") == {"claimed-mean"} and with_status(found, "unknown") >= RULES
    assert "no rules here of the track 'speedrun-4h'" in found.check("hardware").message


def test_every_track_that_ships_is_known_by_its_own_name():
    assert {name: tracks.recognised(f"track_{name}") for name in tracks.names()} == {n: n for n in tracks.names()}
    assert math.isinf(tracks.load("non_record_16mb").limits.train_seconds)


def test_a_record_needs_a_limit_of_time():
    with pytest.raises(BadInput, match="limits no time"):
        check_request("non_record_16mb")
