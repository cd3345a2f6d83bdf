"""The winner and what may be said of it; effects with intervals that hold as often as they say."""

import itertools

import numpy as np
import pytest
from scipy import stats

from pgolf.errors import BadInput, RunFailed
from pgolf.stats.sample import from_seeds
from pgolf.sweep.attribution import attribute
from pgolf.sweep.candidates import Candidate
from pgolf.sweep.choice import bounds, choose, luck
from pgolf.sweep.report import ablation_markdown, sweep_markdown
from pgolf.sweep.trials import Trial
from pgolf.tracks import Limits

LIMITS = Limits(16_000_000, 600.0, 600.0, 1.0)


def trial(bpb, seconds=100.0, size=15_000_000, state="scored", **settings):
    return Trial({k: str(v) for k, v in settings.items()}, 1, state, "", bpb, 2.8, "", seconds, size)


TRIALS = [
    trial(1.08),
    trial(1.07, seconds=595.0, ttt_epochs=9),
    trial(1.06, seconds=600.1, ttt_epochs=12),
    trial(1.05, size=16_000_001, matrix_bits=7),
    trial(1.075, size=15_999_000, matrix_bits=6),
    trial(None, state="stopped", ttt_epochs=99),
    trial(None, state="failed", ttt_lr=99),
]


def test_the_lowest_that_fits_wins_and_margins_count():
    def winner(time_margin=0.0, size_margin=0):
        return choose(TRIALS, bounds(LIMITS, time_margin, size_margin)).winner.candidate.label

    assert winner() == "TTT_EPOCHS=9"
    assert winner(time_margin=10.0) == "MATRIX_BITS=6"
    assert winner(time_margin=10.0, size_margin=2000) == "base"
    with pytest.raises(RunFailed, match="none of 7 candidates fits"):
        winner(time_margin=550.0)


def test_every_try_is_in_the_ranking_and_counted():
    choice = choose(TRIALS, bounds(LIMITS, 0.0, 0))
    assert choice.tried == 7 and len(choice.ranking) == 7
    assert [why is None for _, why in choice.ranking] == [True] * 3 + [False] * 4
    for orders in itertools.islice(itertools.permutations(TRIALS), 0, 5000, 997):
        assert choose(orders, bounds(LIMITS, 0.0, 0)).winner == choice.winner
    text = sweep_markdown(choice, bounds(LIMITS, 0.0, 0), None, "Not yet.")
    assert "7 candidates" in text and "selected and no result" in text and "600.1 s of evaluation, 600 allowed" in text


def test_of_equal_scores_the_one_with_fewer_changes():
    a, b = trial(1.0, ttt_lr=1, ttt_epochs=2), trial(1.0, ttt_lr=1)
    assert choose([a, b], bounds(LIMITS, 0.0, 0)).winner == b


def test_corrected_p_holds_its_level_under_selection():
    """Of worlds where no candidate differs from the record, at most 5 % may seem to at corrected p < 0.05, while the
    uncorrected p of the best of twelve is fooled far more often."""
    rng, fooled, corrected = np.random.default_rng(1), 0, 0
    for _ in range(2000):
        record = from_seeds("record", list(1.08 + 0.001 * rng.standard_normal(3)))
        tries = [trial(float(x), ttt_epochs=i) for i, x in enumerate(1.08 + 0.001 * rng.standard_normal(12))]
        found = luck(choose(tries, bounds(LIMITS, 0.0, 0)), record)
        fooled += found.p < 0.05
        corrected += found.corrected < 0.05
    assert corrected < 0.06 * 2000 and fooled > 0.15 * 2000


def test_effects_against_plain_t_tests():
    rng = np.random.default_rng(0)
    seeds = (42, 314, 999, 7)
    base = dict(zip(seeds, rng.random(4), strict=True))
    a, b = Candidate((("ttt_lr", "1"),)), Candidate((("ttt_epochs", "2"),))
    one = {c: dict(zip(seeds, rng.random(4), strict=True)) for c in (a, b)}
    both = dict(zip(seeds, rng.random(4), strict=True))
    rows = {e.label: e for e in attribute(base, one, both)}
    plain = stats.ttest_rel(list(base.values()), list(one[a].values()))
    assert np.allclose(rows["TTT_LR=1"].interval, plain.confidence_interval(0.95))
    assert np.allclose(rows["TTT_LR=1"].joint, plain.confidence_interval(1 - 0.05 / 5))
    gain_sum = rows["TTT_LR=1"].gain + rows["TTT_EPOCHS=2"].gain
    assert np.isclose(rows["sum of these"].gain, gain_sum)
    assert np.isclose(rows["all together − sum"].gain, rows["all together"].gain - gain_sum)
    assert len(attribute(base, {a: one[a]}, one[a])) == 1, "of a single change there is no sum"
    single = ablation_markdown("old", "new", seeds, attribute(base, {a: one[a]}, one[a]))
    assert "holds for the one row at once" in single and "1 rows" not in single
    with pytest.raises(BadInput, match="two or more"):
        attribute({42: 1.0}, {a: {42: 1.0}}, {42: 1.0})
    with pytest.raises(BadInput, match="beside"):
        attribute(base, {a: {42: 1.0, 43: 2.0}}, both)
    table = ablation_markdown("old", "new", seeds, list(rows.values()))
    assert table.count("\n| ") == 1 + 5 and "`sum of these`" in table
