"""The worked cases of the rules to all printed digits, and every way in which a claim must be refused."""

import json
import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from pgolf.errors import BadInput
from pgolf.stats.comparison import compare, format_p
from pgolf.stats.power import power, seeds_needed, smallest_delta
from pgolf.stats.sample import from_seeds, from_summary, parse_numbers, pool, same_validation

OLD_LOSS = [2.79180191, 2.79241542, 2.79281075]
OLD = from_seeds("04-09", [1.08079352, 1.08103103, 1.08118408], loss=OLD_LOSS, seeds=[42, 314, 999])
A2 = from_seeds("A2", [1.07928348, 1.08024795, 1.07996676], seeds=[0, 1234, 42])
SUMMARY_NEW = parse_numbers("mean=1.07290246,std=0.00015869,n=3", "04-25")
SUMMARY_OLD = parse_numbers("mean=1.0810,std=0.0002,n=3", "04-09", bytes_per_token=3.72664)


def test_worked_case_from_raw_seeds():
    welch = compare(A2, OLD).any_improvement
    assert (f"{welch.t:.3f}", f"{welch.df:.2f}", f"{welch.p:.6f}") == ("-3.798", "2.61", "0.020298")
    assert welch.p_range is None


def test_worked_case_from_summaries_with_the_rounding_they_allow():
    welch = compare(SUMMARY_NEW, SUMMARY_OLD).any_improvement
    assert (f"{welch.t:.3f}", f"{welch.df:.2f}", format_p(welch.p)) == ("-54.935", "3.80", "5.856e-07")
    assert tuple(f"{p:.1e}" for p in welch.p_range) == ("1.8e-07", "3.4e-06")


def test_margin_is_converted_with_the_previous_records_bytes_per_token():
    new = from_seeds("other tokenizer", [1.0700, 1.0701, 1.0702], bytes_per_token=3.157)
    assert f"{compare(new, OLD).margin_bpb:.7f}" == "0.0019357"


def test_gain_of_the_headline_in_nats():
    assert f"{compare(SUMMARY_NEW, SUMMARY_OLD).delta_nats:.4f}" == "0.0209"


def test_p_of_the_bar_is_the_same_test_with_the_margin_added():
    c = compare(A2, OLD)
    shifted = [x + c.margin_bpb for x in A2.values]
    expected = scipy_stats.ttest_ind(shifted, OLD.values, equal_var=False, alternative="less")
    assert c.clears_bar.t == pytest.approx(expected.statistic)
    assert c.clears_bar.p == pytest.approx(expected.pvalue)


def test_interval_of_delta_is_scipys():
    expected = scipy_stats.ttest_ind(OLD.values, A2.values, equal_var=False).confidence_interval(0.95)
    assert compare(A2, OLD).ci95_bpb == pytest.approx((expected.low, expected.high))


def test_raw_seeds_against_a_summary_keep_the_rounding():
    bar = compare(A2, SUMMARY_OLD).any_improvement
    assert bar.p_range[0] < bar.p < bar.p_range[1]


@pytest.mark.parametrize(
    ("new", "outcome"),
    [
        ("1.0729,1.0730,1.0731", "clears"),
        ("1.0783,1.0787,1.0790", "undecided"),
        ("1.0800,1.0801,1.0802", "below"),
        ("1.0812,1.0813,1.0815", "worse"),
    ],
)
def test_outcomes(new, outcome):
    c = compare(parse_numbers(new, "new"), OLD)
    assert c.outcome == outcome
    assert c.verdict.startswith({"below": "does not clear", "worse": "no improvement"}.get(outcome, outcome))


@pytest.mark.parametrize(
    ("new", "why"),
    [
        (from_seeds("new", [1.07]), "one seed"),
        (from_seeds("new", [1.0729, 1.0729, 1.0729], decimals=4), "std 0"),
        (from_seeds("new", [1.07283012, 1.07283012, 1.07290000]), "not distinct"),
        (from_summary("new", "1.0729", "0.0000", 3), "std 0"),
    ],
)
def test_no_claim_from_one_seed_no_spread_or_copies(new, why):
    c = compare(new, OLD)
    assert c.outcome == "no claim"
    assert c.verdict.startswith("cannot be claimed") and why in c.verdict


def test_no_claim_against_a_margin_in_nats_without_bytes_per_token():
    c = compare(A2, parse_numbers("1.0810,1.0812,1.0814"))
    assert c.margin_bpb is None and c.clears_bar is None and c.any_improvement.p < 0.5
    assert "bytes per token" in c.verdict


def test_a_policy_without_margin_needs_no_bytes_per_token():
    c = compare(A2, parse_numbers("1.0810,1.0812,1.0814"), margin_nats=0, alpha=0.25)
    assert c.outcome == "clears"


def test_json_has_exactly_the_keys_and_is_json():
    for c in (compare(A2, OLD), compare(from_seeds("one", [1.07]), OLD)):
        keys = list(json.loads(json.dumps(c.as_json(), allow_nan=False)))
        assert ",".join(keys) == (
            "delta_bpb,delta_nats,bytes_per_token,t,df,p_one_sided,margin_nats,margin_bpb,t_margin,p_margin,ci95_bpb,"
            "n_new,n_old,power,verdict"
        )


def test_paired_difference_over_equal_seed_numbers_only():
    new = from_seeds("new", [1.0790, 1.0795, 1.0801], seeds=[42, 999, 7])
    paired = compare(new, OLD).paired
    assert paired.seeds == (42, 999)
    assert paired.delta_bpb == pytest.approx(((1.08079352 - 1.0790) + (1.08118408 - 1.0795)) / 2)
    assert paired.t < 0
    assert compare(A2, OLD).paired is None  # one shared seed is no sample


def test_added_seeds_label_the_verdict():
    new = from_seeds("new", [1.0729, 1.0730, 1.0731, 1.0732], seeds=[42, 314, 999, 7], added_seeds=[7])
    assert "seeds 7 were added after results" in compare(new, OLD).verdict


def test_tiny_p_is_printed_as_a_number():
    new = parse_numbers("1.01000001,1.01000002,1.01000003")
    p = dict(compare(new, OLD).rows())["p(any improvement)"]
    assert "<" not in p and "e-" in p


@pytest.mark.parametrize(
    ("margin", "alpha"), [(-1, 0.01), (math.nan, 0.01), (math.inf, 0.01), (0.005, 0), (0.005, 0.9)]
)
def test_policies_that_are_none(margin, alpha):
    with pytest.raises(BadInput):
        compare(A2, OLD, margin, alpha)


@pytest.mark.parametrize(("n_new", "n_old", "delta"), [(3, 3, 4.0), (5, 3, 4.0), (20, 3, 4.0), (2, 4, 6.0)])
def test_power_is_what_simulated_records_reach(n_new, n_old, delta):
    rng = np.random.default_rng(0)
    new, old = rng.normal(-delta, 1, (40_000, n_new)), rng.normal(0, 1, (40_000, n_old))
    p = scipy_stats.ttest_ind(new, old, axis=1, equal_var=False, alternative="less").pvalue
    assert power(1.0, delta, n_new, n_old) == pytest.approx((p < 0.01).mean(), abs=0.01)


def test_power_counts_the_margin_and_the_level():
    assert power(1.0, 5.0, margin=2.0) == pytest.approx(power(1.0, 3.0))
    assert power(1.0, 0.0, n_new=30, n_old=30, alpha=0.05) == pytest.approx(0.05, abs=0.001)


def test_smallest_delta_and_seeds_needed_answer_the_power_asked_for():
    gain = smallest_delta(0.0002, 4, 3, margin=0.002)
    assert power(0.0002, gain, 4, 3, margin=0.002) == pytest.approx(0.9, abs=1e-4)
    n = seeds_needed(0.0002, 0.001)
    assert power(0.0002, 0.001, n) >= 0.9 > power(0.0002, 0.001, n - 1)
    assert seeds_needed(0.0002, 0.001, margin=0.001) is None


def test_undecided_says_how_many_seeds_would_settle_it():
    old = from_seeds("old", [1.0810, 1.0812, 1.0811, 1.0809, 1.0813], bytes_per_token=3.72664)
    new = parse_numbers("1.0787,1.0789,1.0785", "new")
    c = compare(new, old)
    assert c.outcome == "undecided"
    assert f"{c.power.seeds_to_settle} new ones" in dict(c.rows())["seeds that would settle it"]


def test_same_validation_rule():
    def sides(a, b):
        return from_seeds("new", [1.06], **a), from_seeds("old", [1.08], **b)

    assert "equal SHA-256" in same_validation(*sides({"scored_sha256": "a"}, {"scored_sha256": "a"}))
    assert "unknown" in same_validation(*sides({}, {"val_bytes": 151_078_222}))
    near = same_validation(*sides({"val_bytes": 151_074_499}, {"val_bytes": 151_078_222}))
    assert "0.0000266 bpb" in near
    with pytest.raises(BadInput, match=r"bytes, more than 0\.02 % apart"):
        same_validation(*sides({"val_bytes": 151_000_000}, {"val_bytes": 151_078_222}))
    with pytest.raises(BadInput, match="different validation text"):
        compare(*sides({"scored_sha256": "a", "val_bytes": 500_000}, {"scored_sha256": "b", "val_bytes": 501_000}))
    cut = same_validation(*sides({"val_bytes": 576_625}, {"scored_sha256": "b", "val_bytes": 576_461}))
    assert "cut differently; worth up to 0.0003073 bpb" in cut, "a small split without its last sequence"
    with pytest.raises(BadInput, match="different validation text"):
        same_validation(*sides({"val_bytes": 576_625}, {"scored_sha256": "b", "val_bytes": 567_000}))


def test_pooling_is_one_sample_of_all_seeds():
    parts = [from_seeds("a", [1.0801, 1.0803]), from_seeds("b", [1.0802, 1.0806, 1.0809])]
    both = pool(parts)
    assert both.values == (1.0801, 1.0803, 1.0802, 1.0806, 1.0809)
    assert both.std == pytest.approx(np.std(both.values, ddof=1))
    moments = pool([parts[0], from_summary("b", "1.080566667", "0.000351188", 3)])
    assert (moments.n, moments.values) == (5, ())
    assert (moments.mean, moments.std) == pytest.approx((both.mean, both.std), rel=1e-5)


def test_pooling_a_reproduction_that_is_a_copy_is_no_claim():
    values = [1.07290001, 1.07290002]
    assert "not distinct" in compare(pool([from_seeds("a", values), from_seeds("copy", values)]), OLD).verdict


def test_losses_in_nats():
    assert from_seeds("x", loss=OLD_LOSS, bytes_per_token=OLD.bytes_per_token).mean == pytest.approx(OLD.mean)
    with pytest.raises(BadInput, match="bytes per token"):
        from_seeds("x", loss=OLD_LOSS)


@pytest.mark.parametrize(
    "text",
    ["", "1.08,", "1.08,abc", "nan,1.08", "inf", "-1.0,1.0", "mean=1.08,std=0.1", "mean=1.08,std=-1,n=3",
     "mean=1.08,std=0.1,n=0", "mean=1.08,std=0.1,n=3,n=4", "mean=x,std=0.1,n=3", "mean=1e400,std=1,n=3"],
)  # fmt: skip
def test_numbers_that_are_none(text):
    with pytest.raises(BadInput):
        parse_numbers(text)


def test_nats_say_whose_tokens_they_are_of_where_tokenizers_differ():
    def gain(bytes_per_token):
        new = from_seeds("new", [1.0700, 1.0701, 1.0702], bytes_per_token=bytes_per_token)
        return dict(compare(new, OLD).rows())["Δ (previous − new)"]

    assert gain(3.157).endswith("nats per token of 04-09")
    assert gain(OLD.bytes_per_token).endswith("nats per token")
