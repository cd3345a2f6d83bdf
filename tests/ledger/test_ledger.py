"""The ledger says what the logs say, can be built again from them, and refuses what is no entry."""

from pathlib import Path

import pytest

from pgolf import ledger
from pgolf.audit.differences import before_adaptation, knob_differences, stage_differences
from pgolf.errors import BadInput

PUBLIC = Path(__file__).parents[3] / "shared" / "public-records"
RECORD = "2026-04-09_SP8192_3LayerRecur_ParResid_QK525_LegalTTT"


def test_pr1493_is_what_its_logs_say():
    record = ledger.load("pr1493")
    assert [(s.seed, s.val_bpb, s.artifact_bytes) for s in record.seeds] == [
        (42, 1.08079352, 15991930),
        (314, 1.08103103, 15992919),
        (999, 1.08118408, 15993232),
    ]
    assert [s.val_bpb for s in record.seeds[0].stages] == [1.08734790, 1.09970431, 1.08286335, 1.08079352]
    assert (record.seeds[0].steps, record.seeds[0].train_seconds) == (4550, 588.047)
    assert f"{record.bytes_per_token:.4f}" == "3.7266"
    assert record.hyperparameters["ttt_epochs"] == "3"


def test_pr1855_has_the_sample_std_and_not_the_published_one():
    sample = ledger.load("pr1855").sample()
    assert (f"{sample.mean:.8f}", f"{sample.std:.5f}", f"{sample.bytes_per_token:.5f}") == (
        "1.06107587",
        "0.00111",
        "3.15715",
    )
    assert sample.val_bytes == 151_074_499


@pytest.mark.skipif(not PUBLIC.is_dir(), reason="no public records here")
def test_building_again_gives_the_entries_that_ship(tmp_path):
    built = ledger.build(PUBLIC, tmp_path)
    assert len(built) == 24
    for standing in built:
        assert standing == ledger.load(standing.name), standing.name


def test_every_entry_loads_and_has_an_origin():
    for name in ledger.names():
        entry = ledger.load(name)
        assert entry.name == name and entry.source and entry.author
        assert entry.sample().n == len(entry.seeds)


def test_an_entry_can_be_a_file_of_ones_own(tmp_path):
    entry = ledger.load("pr1493")
    path = ledger.write_standing(tmp_path / "mine.json", entry)
    assert ledger.load(str(path)) == entry


def test_a_wrong_name_gets_near_misses():
    with pytest.raises(BadInput, match="did you mean pr1493"):
        ledger.load("pr1494")


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"name": "x"}'])
def test_a_file_that_is_no_entry(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(BadInput, match="no ledger entry"):
        ledger.load(str(path))


@pytest.mark.parametrize("folder", [".", "gone"])
def test_nothing_to_build_from(tmp_path, folder):
    with pytest.raises(BadInput):
        ledger.build(tmp_path / folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_gain_before_adaptation_is_shown_as_such():
    new = [ledger.SeedScore(1, 1.0730, 2.77, stages(1.0808, 1.0913, 1.0745, 1.0730))]
    old = [ledger.SeedScore(1, 1.0808, 2.79, stages(1.0873, 1.0997, 1.0829, 1.0808))]
    rows = stage_differences(new, old)
    assert [r.kind for r in rows] == ["pre-quant", "quantized", "sliding", "ttt"]
    assert before_adaptation(rows).gain == pytest.approx(0.0084)


def test_a_stage_that_one_seed_lacks_has_no_mean():
    new = [ledger.SeedScore(1, 1.07, 2.7, stages(1.08, 1.09, 1.07)), ledger.SeedScore(2, 1.07, 2.7, stages(1.08, 1.07))]
    assert [(r.kind, len(r.new)) for r in stage_differences(new, new)] == [("pre-quant", 2), ("quantized", 2)]


def stages(*values: float) -> tuple[ledger.StageScore, ...]:
    kinds = ("pre-quant", "quantized", "sliding", "ttt")
    return tuple(ledger.StageScore(k, k, None, v, None) for k, v in zip(kinds, values, strict=False))


def test_full_delta_has_knobs_that_only_one_side_knows_and_no_seed():
    new = {"seed": "1", "run_id": "x", "ttt_epochs": "4", "gate": "1", "adam_eps": "1e-8"}
    old = {"seed": "2", "run_id": "y", "ttt_epochs": "3", "etlb": "0", "adam_eps": "1e-08"}
    assert [(d.knob, d.old, d.new) for d in knob_differences(new, old)] == [
        ("ttt_epochs", "3", "4"),
        ("gate", None, "1"),
        ("etlb", "0", None),
    ]


def test_an_entry_of_version_0_1_is_read(tmp_path):
    """It called the scored tokens' hash val_sha256; a record that goes on has written its standing.json so."""
    text = (ledger.FOLDER / "cpu_smoke-base.json").read_text()
    assert '"scored_sha256": "963ad870' in text
    (tmp_path / "old.json").write_text(text.replace("scored_sha256", "val_sha256"))
    assert ledger.load(str(tmp_path / "old.json")) == ledger.load("cpu_smoke-base")


def test_entries_that_an_installed_pgolf_cannot_write_go_elsewhere(monkeypatch):
    monkeypatch.setattr(ledger.os, "access", lambda path, mode: False)
    with pytest.raises(BadInput, match="cannot be written: name a folder for the entries with --out"):
        ledger.own_folder()
