"""pgolf.stats imports no scipy.stats, which is slow to import; here its values are held to scipy.stats'."""

import pytest
from examples import examples
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from pgolf.stats.comparison import compare
from pgolf.stats.power import power, smallest_delta
from pgolf.stats.sample import Sample, from_seeds, from_summary
from pgolf.stats.student import t_cdf, t_quantile
from pgolf.stats.welch import interval_of_gain, welch_test
from tests.reference import stats as reference

SEEDS = st.one_of(st.integers(2, 8), st.integers(2, 1_000_000))
DF = st.floats(0, 6).map(lambda x: 10**x)
MEAN = st.floats(0.9, 1.3)
STD = st.floats(-7, -1).map(lambda x: 10**x)
EXACTLY = {"rel": 1e-12, "abs": 1e-300}


@st.composite
def summaries(draw) -> Sample:
    return Sample("drawn", draw(MEAN), draw(STD), draw(SEEDS))


@st.composite
def published(draw) -> Sample:
    digits = draw(st.integers(3, 8))
    std = f"{draw(STD):.{digits}f}"
    assume(float(std) > 0)
    return from_summary("drawn", f"{draw(MEAN):.{digits}f}", std, draw(SEEDS))


@given(t=st.floats(-1e4, 1e4), df=DF)
def test_chance_below_t(t, df):
    assert t_cdf(t, df) == pytest.approx(scipy_stats.t.cdf(t, df), **EXACTLY)
    assert t_cdf(-t, df) == pytest.approx(scipy_stats.t.sf(t, df), **EXACTLY)


@given(chance=st.one_of(st.floats(1e-12, 1 - 1e-12), st.sampled_from([0.025, 0.5, 0.975, 0.99])), df=DF)
def test_quantiles_of_t(chance, df):
    assert t_quantile(chance, df) == pytest.approx(scipy_stats.t.ppf(chance, df), rel=1e-12, abs=1e-12)


@given(new=summaries(), old=summaries(), margin=st.sampled_from([0.0, 0.0019357, 0.1]))
def test_welch_and_the_interval(new, old, margin):
    test = welch_test(new, old, margin)
    expected = reference.welch(new.mean + margin, new.std, new.n, old.mean, old.std, old.n)
    assert (test.t, test.df, test.p) == pytest.approx(expected, **EXACTLY)
    expected = reference.interval(old.mean - new.mean, new.std, new.n, old.std, old.n)
    assert interval_of_gain(new, old, test.df) == pytest.approx(expected, rel=1e-12, abs=1e-15)


@examples(40)
@given(new=published(), old=published(), margin=st.sampled_from([0.0, 0.0019357]))
def test_what_rounding_allows(new, old, margin):
    assert welch_test(new, old, margin).p_range == pytest.approx(reference.p_range(new, old, margin), **EXACTLY)


@given(values=st.lists(st.tuples(MEAN, MEAN), min_size=2, max_size=9, unique=True))
def test_paired_differences(values):
    new, old = (from_seeds("s", [v[i] for v in values], seeds=range(len(values))) for i in (0, 1))
    paired = compare(new, old, 0.0).paired
    if paired.std_bpb < 1e-9:  # scipy warns of cancellation here
        return
    expected = scipy_stats.ttest_rel(new.values, old.values, alternative="less")
    assert (paired.t, paired.p_one_sided) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-9, abs=1e-15)


@examples(60)
@given(std=STD, gain=st.floats(-3, 12), margin=st.floats(0, 5), n=st.tuples(SEEDS, SEEDS), alpha=st.floats(1e-6, 0.5))
def test_power(std, gain, margin, n, alpha):
    expected = reference.power(std, gain * std, *n, margin * std, alpha)
    assert power(std, gain * std, *n, margin=margin * std, alpha=alpha) == pytest.approx(expected, rel=1e-11, abs=1e-15)


@examples(30)
@given(std=STD, n=st.tuples(SEEDS, SEEDS), alpha=st.sampled_from([0.001, 0.01, 0.05]), target=st.floats(0.51, 0.99))
def test_smallest_gain(std, n, alpha, target):
    gain = smallest_delta(std, *n, alpha=alpha, target=target)
    assert reference.power(std, gain, *n, 0.0, alpha) == pytest.approx(target, abs=1e-5 if max(n) > 1000 else 1e-8)
