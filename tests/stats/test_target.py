"""A speedrun's tests: against scipy.stats, against what their reviewers published, and where the digits leave much."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from examples import examples
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from pgolf.errors import BadInput
from pgolf.stats.rounding import range_of_t
from pgolf.stats.target import MOST_RUNS, chance_of, runs_needed, target_test, time_gain
from tests.reference import rounding as reference

RECORDS = Path(__file__).parents[2] / ".." / "shared" / "speedrun-records" / "track_1_short"
LOSS = st.integers(32000, 33600).map(lambda x: x / 10_000)
NEAR = st.integers(-6, 6)  # units of the last digit: few of them, so that rounding moves t by much


@given(losses=st.lists(LOSS, min_size=2, max_size=30), target=LOSS)
def test_losses_against_a_target(losses, target):
    assume(len(set(losses)) > 1)
    test = target_test(losses, target, 4)
    expected = scipy_stats.ttest_1samp(losses, target, alternative="less")
    assert (test.t, test.p) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-9, abs=1e-9)
    assert test.df == len(losses) - 1
    assert test.p_range[0] < test.p < test.p_range[1]


@given(
    new=st.lists(st.floats(70, 90), min_size=2, max_size=9), base=st.lists(st.floats(70, 90), min_size=2, max_size=9)
)
def test_times_against_the_baselines(new, base):
    assume(min(np.std(new), np.std(base)) > 1e-3)  # scipy loses digits below
    gain = time_gain(new, base)
    expected = scipy_stats.ttest_ind(new, base, equal_var=False, alternative="less")
    assert (gain.t, gain.p) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-6, abs=1e-12)
    interval = scipy_stats.ttest_ind(base, new, equal_var=False).confidence_interval(0.95)
    assert gain.ci95 == pytest.approx((interval.low, interval.high), rel=1e-9, abs=1e-6)
    assert gain.difference == pytest.approx(np.mean(base) - np.mean(new), abs=1e-9)
    assert gain.share == pytest.approx(gain.difference / np.mean(base))


@examples(60)
@given(printed=st.lists(NEAR, min_size=2, max_size=3), target=NEAR)
def test_what_rounding_allows_is_what_trying_samples_finds(printed, target):
    least, greatest = range_of_t(np.array(printed, dtype=float) - target, 0.5)
    low, high = reference.range_of_t(printed, target, 0.5)
    # infinite where all values may be equal: there, trying finds a large t and no bound
    assert least == (pytest.approx(low, rel=1e-4, abs=1e-6) if math.isfinite(least) else -math.inf)
    assert greatest == (pytest.approx(high, rel=1e-4, abs=1e-6) if math.isfinite(greatest) else math.inf)
    assert math.isfinite(least) or low < -1e3
    assert math.isfinite(greatest) or high > 1e3


def test_rounding_moves_each_value_its_own_way():
    # All values shifted alike keep their spread; the extremes of p need a smaller one, or a larger one.
    printed, half = np.array([-3.0, -1.0, -2.0]), 0.5
    least, greatest = range_of_t(printed, half)
    shifted = [scipy_stats.ttest_1samp(printed + shift, 0).statistic for shift in (-half, half)]
    assert least < min(shifted) - 0.1
    assert greatest > max(shifted) + 0.1


@examples(100)
@given(data=st.data(), n=st.integers(2, 40), half=st.sampled_from([0.5, 0.05, 5.0]))
def test_no_sample_that_prints_the_same_is_outside_of_the_range(data, n, half):
    printed = np.array(data.draw(st.lists(NEAR, min_size=n, max_size=n)), dtype=float)
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 32)))
    moves = np.concatenate([rng.uniform(-half, half, (200, n)), rng.choice([-half, half], (200, n))])
    samples = printed + moves
    samples = samples[samples.std(axis=1) > 1e-9]
    t = math.sqrt(n) * samples.mean(axis=1) / samples.std(axis=1, ddof=1)
    least, greatest = range_of_t(printed, half)
    assert np.all(t >= least - 1e-9 * abs(least) - 1e-9)
    assert np.all(t <= greatest + 1e-9 * abs(greatest) + 1e-9)


def test_equal_losses_have_no_p_but_their_digits_bound_it():
    test = target_test([3.2775] * 4, 3.28, 4)
    assert (test.std, test.t, test.df, test.p) == (0.0, None, None, None)
    assert test.p_range[0] == 0.0
    corner = scipy_stats.ttest_1samp([3.27755, 3.27755, 3.27745, 3.27745], 3.28, alternative="less").pvalue
    assert test.p_range[1] == pytest.approx(corner, rel=1e-6)
    assert target_test([3.28] * 4, 3.28, 4).p_range == (0.0, 1.0)


def test_one_run_is_no_test():
    test = target_test([3.27], 3.28, 4)
    assert (test.mean, test.std, test.n, test.t, test.df, test.p, test.p_range) == (
        3.27,
        0.0,
        1,
        None,
        None,
        None,
        None,
    )
    assert test.runs_to_settle(0.01) is None
    gain = time_gain([79.5], [80.7, 80.9])
    assert (gain.t, gain.df, gain.p, gain.ci95) == (None, None, None, None)
    assert gain.difference == pytest.approx(1.3)


def test_times_without_spread_are_no_test_and_no_error():
    assert time_gain([0.1] * 3, [0.3] * 3).p is None
    assert time_gain([1e-200, 0.0], [0.0, 0.0]).p is None
    assert time_gain([0.0], [0.0]).share is None
    one_sided = time_gain([1.0, 1.0], [2.0, 2.1, 2.3])
    assert one_sided.df == pytest.approx(2)
    assert 0 < one_sided.p < 0.05


@pytest.mark.parametrize("bad", [[], [math.nan], [3.2, math.inf], [3.2, -1e300], [1e13, 3.2]])
def test_losses_and_times_that_are_none(bad):
    with pytest.raises(BadInput):
        target_test(bad, 3.28, 4)
    with pytest.raises(BadInput):
        time_gain(bad, [80.0])
    with pytest.raises(BadInput):
        time_gain([80.0], bad)


@given(losses=st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=5), target=st.floats(-1e12, 1e12))
def test_no_number_within_bounds_is_an_error(losses, target):
    test = target_test(losses, target, 4)
    gain = time_gain(losses, [target])
    assert test.p is None or 0 <= test.p <= 1
    assert test.p_range is None or 0 <= test.p_range[0] <= test.p_range[1] <= 1
    assert math.isfinite(gain.difference)


def test_very_many_runs_and_absurd_digits():
    rng = np.random.default_rng(0)
    losses = np.round(rng.normal(3.279, 0.0015, 200_000), 4).tolist()
    test = target_test(losses, 3.28, 4)
    assert test.p_range[0] <= test.p <= test.p_range[1] < 1e-9
    assert target_test([3.2, 3.3], 3.28, 10**6).p_range == pytest.approx([target_test([3.2, 3.3], 3.28, 4).p] * 2)


@examples(200)
@given(
    n=st.integers(2, 60),
    gap=st.floats(-3, 6),
    alpha=st.sampled_from([1e-6, 1e-3, 0.01, 0.05, 0.49, 0.5]),
    std=st.floats(-6, 0).map(lambda x: 10**x),
)
def test_power_is_scipys(n, gap, alpha, std):
    shift = gap * math.sqrt(n)
    expected = scipy_stats.nct.sf(scipy_stats.t.isf(alpha, n - 1), n - 1, shift)
    if math.isnan(expected):
        expected = float(shift > 0)
    assert chance_of(n, std, gap * std, alpha) == pytest.approx(expected, abs=1e-9)


@examples(30)
@given(n=st.integers(2, MOST_RUNS), alpha=st.floats(-9, -0.31).map(lambda x: 10**x), near=st.floats(-4, 4))
def test_power_for_any_number_of_runs_is_a_mean_over_stds(n, alpha, near):
    critical = -scipy_stats.t.ppf(alpha, n - 1)
    shift = critical + near
    share = (np.arange(20_000) + 0.5) / 20_000
    std = np.sqrt(scipy_stats.chi2.ppf(share, n - 1) / (n - 1))
    expected = np.mean(scipy_stats.norm.cdf(shift - critical * std))
    assert chance_of(n, 1.0, shift / math.sqrt(n), alpha) == pytest.approx(expected, abs=1e-4)


def test_power_where_the_chance_is_all_but_certain():
    assert chance_of(MOST_RUNS, 1e-6, 1.0, 1e-9) == 1.0
    assert chance_of(2, 1e-12, 1e6, 0.01) == 1.0
    assert chance_of(2, 1e-12, -1e6, 0.01) < 1e-15


def test_power_is_what_simulated_records_reach():
    rng = np.random.default_rng(1)
    losses = rng.normal(-0.0013, 0.0016, (20_000, 14))
    p = scipy_stats.ttest_1samp(losses, 0.0, axis=1, alternative="less").pvalue
    assert chance_of(14, 0.0016, 0.0013, 0.01) == pytest.approx(np.mean(p < 0.01), abs=0.01)


@given(std=st.floats(1e-4, 1e-2), gap=st.floats(1e-5, 1e-1), chance=st.sampled_from([0.6, 0.9, 0.99]))
def test_runs_needed_are_the_fewest(std, gap, chance):
    n = runs_needed(std, gap, 0.01, chance)
    if n is None:
        assert chance_of(MOST_RUNS, std, gap, 0.01) < chance
        return
    assert chance_of(n, std, gap, 0.01) >= chance
    assert n == 2 or chance_of(n - 1, std, gap, 0.01) < chance


def test_no_number_of_runs_shows_a_mean_that_is_not_below():
    assert runs_needed(0.001, 0.0, 0.01, 0.9) is None
    assert runs_needed(0.001, -0.002, 0.01, 0.9) is None


@pytest.mark.parametrize(
    ("n", "std", "gap", "alpha"),
    [
        (1, 1, 1, 0.01),
        (5, 0, 1, 0.01),
        (5, math.nan, 1, 0.01),
        (5, 1, math.inf, 0.01),
        (5, 1, 1, 0.6),
        (10**5, 1, 1, 0.01),
    ],
)
def test_questions_without_an_answer(n, std, gap, alpha):
    with pytest.raises(BadInput):
        chance_of(n, std, gap, alpha)


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0, math.nan])
def test_chances_that_are_none(chance):
    with pytest.raises(BadInput):
        runs_needed(1.0, 1.0, 0.01, chance)


def test_runs_that_would_settle_a_test():
    undecided = target_test([3.2790, 3.2810, 3.2770, 3.2805], 3.28, 4)
    assert undecided.p > 0.01
    assert undecided.runs_to_settle(0.01) == runs_needed(undecided.std, undecided.gap, 0.01, 0.9)
    assert target_test([3.2700, 3.2701, 3.2702], 3.28, 4).runs_to_settle(0.01) is None  # settled
    assert target_test([3.2900, 3.2901, 3.2902], 3.28, 4).runs_to_settle(0.01) is None  # above


@pytest.mark.skipif(not RECORDS.is_dir(), reason="no speedrun logs here")
def test_what_was_published_of_fp8_down_projection():
    this_pr, baseline = (_results(RECORDS / "2026-07-17_FP8DownProjection" / name) for name in ("this_pr", "baseline"))
    test = target_test([loss for loss, _ in this_pr], 3.28, 4)
    assert (test.n, f"{test.mean:.7f} {test.std:.7f} {test.p:.8f}") == (13, "3.2783692 0.0014156 0.00066906")
    gain = time_gain([s for _, s in this_pr], [s for _, s in baseline])
    assert f"{gain.mean:.6f} {gain.std:.6f}" == "79.684923 0.182767"
    assert 0 < gain.p < 1e-9


def _results(folder: Path) -> list[tuple[float, float]]:
    """(last loss, seconds) of each log, read here in a line rather than by pgolf."""
    lines = [re.findall(r"val_loss:([\d.]+) train_time:(\d+)ms", log.read_text())[-1] for log in folder.glob("*.txt")]
    return [(float(loss), int(ms) / 1000) for loss, ms in lines]
