"""Claims about single seeds in the shapes that submission.json takes."""

import json

import pytest

from pgolf.evidence.claims import read_claims

SCORES = {42: 1.0811, 7: 1.0802}


def claims_of(tmp_path, content):
    (tmp_path / "submission.json").write_text(json.dumps(content, indent=1))
    return read_claims(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        {"seeds": {"42": 1.0811, "7": 1.0802}},
        {"seeds": {"42": {"val_bpb": 1.0811}, "7": {"val_bpb": 1.0802}}},
        {"seeds": [{"seed": 42, "val_bpb": 1.0811}, {"seed": 7, "val_bpb": 1.0802}]},
        {"runs": [{"seed": "42", "val_bpb": "1.0811"}, {"seed": "7", "val_bpb": "1.0802"}]},
        {"seed_results": {"seed42": 1.0811, "seed7": 1.0802, "mean": 1.08065}},
        {"results": {"seed_42": {"sliding_bpb": 1.0811, "pre_quant_bpb": 1.07}, "seed_7": {"sliding_bpb": 1.0802}}},
        {"per_seed": {"42": {"quantized_bpb": 1.09, "quantized_ttt_bpb": 1.0811}, "7": {"quantized_ttt_bpb": 1.0802}}},
        {"val_bpb_seeds": {"42": "1.0811", "7": "1.0802"}},
        {"val_bpb_per_seed": {"42": 1.0811, "7": 1.0802}},
        {"val_bpb": {"seed_42": 1.0811, "seed_7": 1.0802, "mean": 1.08065, "std": 0.0006}},
        {"val_bpb_seed42": 1.0811, "val_bpb_seed7": 1.0802, "steps_seed42": 5000},
        {"seed_42": {"val_bpb": 1.0811}, "seed_7": {"val_bpb": 1.0802}},
        {"seed_42_val_bpb": 1.0811, "seed_7_val_bpb": 1.0802},
        {"seeds": [42, 7], "seed_bpbs": [1.0811, 1.0802], "seed_val_bpb": [1.0811, 1.0802]},
        {"seeds": [42, 7], "val_bpb_by_seed": [1.0811, 1.0802]},
        {"metrics": {"per_seed_results": {"42": {"ttt_val_bpb": 1.0811}, "7": {"ttt_val_bpb": 1.0802}}}},
        {"seed_results": {"42": {"ttt": {"val_bpb": 1.0811}}, "7": {"ttt": {"val_bpb": 1.0802}}}},
        {"val_bpb": 1.08065, "seed_results": {"42": {"a_bpb": 1.1, "k256_bpb": 1.0811}, "7": {"k256_bpb": 1.0802}}},
    ],
    ids=range(18),
)
def test_a_seeds_score_is_read_in_any_shape(tmp_path, content):
    found = claims_of(tmp_path, content)
    assert {seed: c.val_bpb and c.val_bpb.value for seed, c in found.by_seed.items()} == SCORES
    assert set(found.seeds) == set(SCORES) and found.n == 2


@pytest.mark.parametrize(
    "content",
    [
        {"ttt_lora_rank_sweep_seed_42": {"48": 1.06005, "56": 1.05997}},
        {"seed_results_pre_fix": {"42": {"val_bpb": 1.0775}}},
        {"baseline_seed_results": {"42": {"val_bpb": 1.0775}}, "base_seed42_val_bpb": 1.0582},
        {"ablation_runs": [{"seed": 42, "val_bpb": 1.11}]},
        {"runs": [{"seed": 42, "arm": "a", "val_bpb": 1.11}, {"seed": 42, "arm": "b", "val_bpb": 1.10}]},
        {"layer_bpb": {"1": 1.3, "2": 1.2}, "hardware_seed42": "1xH100"},
        {"seeds": [42, 7], "seed_bpb": [1.08]},
        {"seed_results": {}, "mean_val_bpb": 0.0, "mean_val_loss": 0.0},
    ],
    ids=range(8),
)
def test_other_figures_are_nobodys_claim_of_a_seed(tmp_path, content):
    found = claims_of(tmp_path, content)
    assert not found.by_seed and found.val_bpb is None


@pytest.mark.parametrize(("score", "read"), [(1.0713, 1.0713), (87, None), (0, None), ("A+", None)])
def test_a_score_of_another_name_is_a_headline_if_it_may_be_one(tmp_path, score, read):
    claim = claims_of(tmp_path, {"score": score}).val_bpb
    assert (claim and claim.value) == read


def test_values_of_a_seed_that_stand_apart_come_together(tmp_path):
    found = claims_of(
        tmp_path,
        {
            "val_bpb": {"seed_42": 1.0811, "seed_7": 1.0802, "mean": 1.08065},
            "artifact_bytes": {"42": 15_000_001, "7": 15_000_002},
            "training_time_ms": {"seed_42": 586_085, "seed_7": 586_048},
        },
    )
    assert found.val_bpb.value == 1.08065 and found.by_seed[42].artifact_bytes.value == 15_000_001
    assert found.by_seed[7].train_seconds.value == 586.048
    assert found.by_seed[42].val_bpb.at.line == 3


def test_a_claim_is_compared_in_the_digits_that_both_have(tmp_path):
    claim = claims_of(tmp_path, {"val_bpb": 1.0865119290343304}).val_bpb
    assert claim.agrees(1.08651193, 8) and claim.is_of(1.08651193, 8)
    assert not claim.agrees(1.08651193) and not claim.agrees(1.08651298, 8)
    short = claims_of(tmp_path, {"val_bpb": 1.08}).val_bpb
    assert short.agrees(1.0799) and not short.is_of(1.0799)  # two digits tell no score from another
    assert not claims_of(tmp_path, {"val_bpb": 1.0806}).val_bpb.is_of(1.08048, 8)


@pytest.mark.parametrize(
    ("content", "none"),
    [
        ({"record_type": "non-record"}, True),
        ({"is_record": False}, True),
        ({"non_record": True}, True),
        ({"name": "Non-Record: SP8192"}, True),
        ({"blurb": "A non-record negative result on TTT."}, True),
        ({"blurb": "Better than the best of the non-record track."}, False),
        ({"is_record": True, "name": "A record"}, False),
        ({"non_record": False}, False),
        ({}, False),
    ],
)
def test_who_says_that_it_is_no_record(tmp_path, content, none):
    assert claims_of(tmp_path, content).no_record == none


def test_a_list_that_names_a_seed_twice_claims_as_many_runs_as_it_has(tmp_path):
    found = claims_of(tmp_path, {"seeds": [42, 42, 314]})
    assert (found.seeds, found.n) == ((42, 314), 3)
