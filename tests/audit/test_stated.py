"""What a speedrun's README states, against its logs: what is contradicted, and what is only left open."""

import statistics
from dataclasses import replace

import pytest
from good_speedrun import BASELINE, NEW, Folder, p_below

from pgolf import tracks
from pgolf.audit.audit import audit
from pgolf.audit.checks.speedrun import run_checks
from pgolf.audit.checks.speedrun.review import speedrun
from pgolf.evidence.run import Evidence
from pgolf.evidence.stated import Stated, StatedFigure, StatedList
from pgolf.evidence.variants import read_variants

SHORT = tracks.load("nanogpt_short")
AT = Evidence("README.md", 7)


@pytest.fixture
def good(tmp_path):
    folder = Folder(tmp_path / "track_1_short" / "2026-07-17_Faster")
    folder.write()
    return folder


@pytest.fixture
def check(good):
    """The outcome of a check where the README states so."""

    def check(name, **stated):
        found = replace(read_variants(good.path), stated=Stated(**stated))
        (result,) = [c for c in run_checks(speedrun(found, SHORT)) if c.id == name]
        assert result.status in ("pass", "unknown") or AT in result.evidence
        return result

    return check


def losses(*values, decimals=4, variant="this_pr"):
    return (StatedList(values, decimals, variant, AT),)


def figure(value, decimals, variant="this_pr"):
    return (StatedFigure(value, decimals, variant, AT),)


def test_a_readme_without_lists_passes(check):
    for name in ("stated-losses", "stated-times", "stated-mean", "stated-p"):
        assert check(name).status == "pass"


@pytest.mark.parametrize("variant", ["this_pr", None])
@pytest.mark.parametrize("decimals", [3, 4])
def test_the_list_of_all_losses_in_any_order_rounded_or_cut_off(check, variant, decimals):
    for rounded in (round, lambda v, d: int(v * 10**d) / 10**d):
        said = losses(*(rounded(v, decimals) for v in reversed(NEW)), decimals=decimals, variant=variant)
        assert check("stated-losses", losses=said).status == "pass"


def test_lists_of_both_variants_without_their_names_find_their_variants(check):
    both = losses(*NEW, variant=None) + losses(*BASELINE, variant=None)
    assert check("stated-losses", losses=both).status == "pass"


def test_a_loss_that_no_log_gives_fails(check):
    found = check("stated-losses", losses=losses(3.2775, *NEW[1:]))
    assert found.status == "fail"
    assert "lists 3.2775, where the logs give 3.2785" in found.message


def test_a_list_that_leaves_runs_out_is_told_apart(check):
    found = check("stated-losses", losses=losses(*sorted(NEW)[:-1]))
    assert found.status == "warn" and "leaves out 3.2791" in found.message


def test_a_list_that_leaves_out_the_runs_that_miss_the_target_fails(good, check):
    for number, loss in enumerate((3.2841, 3.2852)):
        good.run("this_pr", 6 + number, loss, 79.6)
    found = check("stated-losses", losses=losses(*NEW))
    assert found.status == "fail"
    assert "by all logs of this_pr p = " in found.message and "by the README's list" in found.message


def test_a_list_with_more_values_than_logs(check):
    found = check("stated-losses", losses=losses(*NEW, 3.2760, 3.2761))
    assert found.status == "warn" and "of 3.2760, 3.2761 there is no log" in found.message


def test_a_list_of_other_runs_is_no_accusation(check):
    others = (3.2701, 3.2702, 3.2703, 3.2704)
    found = check("stated-losses", losses=losses(*others, variant=None))
    assert found.status == "warn" and "in none of" in found.message


def test_a_list_with_several_other_losses_that_make_the_p_fails(good, check):
    logged = (3.2801, 3.2822, 3.2791, 3.2819, 3.2770, 3.2812)
    for number, loss in enumerate(logged):
        good.run("this_pr", number, loss, 79.6)
    found = check("stated-losses", losses=losses(3.2781, 3.2772, 3.2791, 3.2779, 3.2770, 3.2782))
    assert found.status == "fail" and "by all logs of this_pr p = " in found.message


def test_a_mean_of_the_readme_s_own_longer_list_is_no_accusation(check):
    more = losses(*NEW, 3.2760, 3.2761)
    mean = round(statistics.mean(more[0].values), 5)
    found = check("stated-mean", losses=more, loss_means=figure(mean, 5))
    assert found.status == "warn" and "by its own list" in found.message


def test_times(good, check):
    seconds = good.seconds["this_pr"]
    said = (StatedList(tuple(round(t, 2) for t in seconds), 2, "this_pr", AT),)
    assert check("stated-times", times=said).status == "pass"
    said = (StatedList((79.1, *seconds[1:]), 3, "this_pr", AT),)
    found = check("stated-times", times=said)
    assert found.status == "fail" and "lists 79.100, where the logs give 79.6" in found.message


@pytest.mark.parametrize("decimals", [4, 5, 6])
@pytest.mark.parametrize("variant", ["this_pr", None])
def test_the_mean_follows(good, check, decimals, variant):
    mean, spread = statistics.mean(NEW), statistics.stdev(NEW)
    seconds = good.seconds["this_pr"]
    found = check(
        "stated-mean",
        loss_means=figure(round(mean, decimals), decimals, variant),
        loss_stds=figure(round(spread, decimals), decimals, variant),
        time_means=figure(round(statistics.mean(seconds), 3), 3, variant),
        time_stds=figure(round(statistics.stdev(seconds), 3), 3, variant),
    )
    assert found.status == "pass" and "all 4" in found.message


def test_a_mean_that_does_not_follow(check):
    found = check("stated-mean", loss_means=figure(3.2771, 4))
    assert found.status == "fail" and "mean loss of 3.2771, the logs give 3.277917" in found.message
    assert check("stated-mean", loss_means=figure(3.2771, 4, None)).status == "fail"
    population = statistics.pstdev(NEW)
    found = check("stated-mean", loss_stds=figure(round(population, 6), 6))
    assert found.status == "warn" and "divides by n" in found.message
    assert check("stated-mean", time_means=figure(78.9, 1)).status == "warn"


def test_a_mean_of_one_of_several_new_variants_that_is_not_named(good, check):
    for number in range(3):
        good.run("this_pr_v2", number, 3.2781 + number / 1000, 79.0)
    assert check("stated-mean", loss_means=figure(3.2771, 4, None)).status == "warn"


def test_the_mean_of_another_record_beside_the_own_one(check):
    both = figure(3.2771, 4, "this_pr") + figure(3.2779, 4, "this_pr")
    assert check("stated-mean", loss_means=both).status == "warn"


def test_p(good, check):
    loss = speedrun(read_variants(good.path), SHORT).new[0].loss
    assert check("stated-p", p_values=figure(round(loss.p, 5), 5)).status == "pass"
    assert check("stated-p", p_values=figure(round(loss.p_range[1], 5), 5)).status == "pass"
    found = check("stated-p", p_values=figure(round(2 * loss.p, 5), 5))
    assert found.status == "warn" and "two-sided" in found.message
    found = check("stated-p", p_values=figure(round(loss.p / 9, 6), 6))
    assert found.status == "fail" and "the logs give this_pr 0.00" in found.message
    assert check("stated-p", p_values=figure(0.001, 3)).status in ("pass", "warn")
    assert check("stated-p", p_values=figure(0.04, 2)).status == "warn"


# from the README's own words

SNIPPET = """# Faster

```python
accs = {losses}
times = {times}
print(scipy.stats.ttest_1samp(accs, 3.28, alternative="less").pvalue)
# p={p:.4f}
print(torch.std_mean(torch.tensor(accs)))
# acc: (tensor({std:.4f}), tensor({mean:.4f}))
```
"""


def snippet(losses, times, logged=None):
    logged = logged or losses
    return SNIPPET.format(
        losses=list(losses),
        times=list(times),
        p=p_below(logged),
        std=statistics.stdev(logged),
        mean=statistics.mean(logged),
    )


def outcomes(folder):
    return {c.id: c.status for c in audit(folder.path).checks if c.id.startswith("stated-")}


def test_an_honest_readme_passes(good):
    good.readme(snippet(NEW, good.seconds["this_pr"]))
    assert set(outcomes(good).values()) == {"pass"}


def test_a_cherry_picked_readme_is_caught(good):
    worse = (3.2841, 3.2852, 3.2860)
    for number, loss in enumerate(worse):
        good.run("this_pr", 6 + number, loss, 79.6 + number / 100)
    good.readme(snippet(NEW, good.seconds["this_pr"]))
    result = audit(good.path)
    assert result.check("stated-losses").status == "fail" and result.check("target-loss").status == "fail"
    assert result.check("stated-times").status == "warn"
    assert result.check("stated-mean").status == result.check("stated-p").status == "warn"


def test_a_readme_with_better_figures_than_its_runs_is_caught(good):
    good.readme(snippet((), (), [v - 0.0006 for v in NEW]).replace("# acc", "# accs"))
    found = outcomes(good)
    assert found["stated-p"] == found["stated-mean"] == "fail"


@pytest.mark.parametrize("words", ["I ran this 80 times.", "Over 40 runs, of which six logs are here:", "n = 40"])
def test_figures_of_more_runs_than_there_are_logs_of_are_no_accusation(good, words):
    good.readme(f"# Faster\n\n{words} Mean val loss: 3.2771, p-value: 0.00042\n")
    found = outcomes(good)
    assert found["stated-mean"] == found["stated-p"] == "warn"
    good.readme("# Faster\n\nIn 6 runs. Mean val loss: 3.2771, p-value: 0.00042\n")
    found = outcomes(good)
    assert found["stated-mean"] == found["stated-p"] == "fail"


def test_a_list_of_all_logs_says_that_the_figures_are_of_these_runs(good):
    good.readme(f"# Faster\n\nRan 80 times.\n\nlosses = {list(NEW)}\n\nMean val loss: 3.2771\n")
    assert outcomes(good)["stated-mean"] == "fail"


def test_a_short_list_of_other_runs_that_meets_some_of_many_logs_is_no_slip(good):
    for number in range(30):
        good.run("this_pr", number, round(3.2770 + number / 10_000, 4), 79.6)
    good.readme("# Faster\n\nlosses = [3.2777, 3.2778, 3.2776, 3.2783, 3.2841]\n")
    assert outcomes(good)["stated-losses"] == "warn"


def test_figures_of_the_record_before_are_left_out(good):
    table = "| run | val_loss |\n|---|---|\n| 0 | 3.2773 |\n| 1 | 3.2812 |\n| mean | 3.2795 |\n"
    good.readme(
        "# Faster\n\nThe current WR has a mean val loss of 3.2764 on my machine.\n"
        f"## Runs\n\nPR #230:\n\n{table}\nwr_losses = [3.2781, 3.2812]\nsota_times = [79.618, 81.234]\n"
    )
    assert set(outcomes(good).values()) == {"pass"}
