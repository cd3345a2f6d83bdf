"""The lists and figures that a README gives of its runs, in the forms that authors use."""

import time

import pytest

from pgolf.evidence.stated import Stated
from pgolf.evidence.statements import read_stated

TWO = {"baseline": True, "this_pr": False}
ALONE = {"": False}


def lists(found):
    return [(s.values, s.decimals, s.variant, s.at.line) for s in found]


def figures(found):
    return [(s.value, s.decimals, s.variant, s.at.line) for s in found]


def test_a_snippet_with_its_output():
    text = """\
# New record

```python
import scipy.stats
import torch

accs = [3.2772, 3.2788,
        3.2790]
times = [168.9, 168.752, 169.001]

print("p=%.4f" % scipy.stats.ttest_1samp(accs, 3.28, alternative="less").pvalue)
# p=0.0059

print("acc:", torch.std_mean(torch.tensor(accs)))
# acc: (tensor(0.0016), tensor(3.2787))

print("time:", torch.std_mean(torch.tensor(times)))
# time: (tensor(0.4946), tensor(168.7527))
```
"""
    found = read_stated(text, "README.md", ALONE)
    assert lists(found.losses) == [((3.2772, 3.2788, 3.2790), 4, None, 7)]
    assert lists(found.times) == [((168.9, 168.752, 169.001), 3, None, 9)]
    assert figures(found.p_values) == [(0.0059, 4, None, 12)]
    assert figures(found.loss_means) == [(3.2787, 4, None, 15)]
    assert figures(found.loss_stds) == [(0.0016, 4, None, 15)]
    assert figures(found.time_means) == [(168.7527, 4, None, 18)]
    assert figures(found.time_stds) == [(0.4946, 4, None, 18)]
    assert found.losses[0].at.file == "README.md"


@pytest.mark.parametrize(
    ("line", "variant"),
    [
        ("losses = [3.2772, 3.2788]", None),
        ("val_losses: [3.2772, 3.2788]", None),
        ("final_val_loss = np.array([3.2772, 3.2788])", None),
        ("- `accs` = [3.2772, 3.2788]", None),
        ("losses=[3.2772,3.2788,]  # thirteen runs", None),
        ("baseline_losses = [3.2772, 3.2788]", "baseline"),
        ("old_accs = [3.2772, 3.2788]", "baseline"),
        ("this_pr_losses = [3.2772, 3.2788]", "this_pr"),
        ("new_losses = [3.2772, 3.2788]", "this_pr"),
    ],
)
def test_lists_of_losses(line, variant):
    found = read_stated(f"\n{line}\n", "README.md", TWO)
    assert lists(found.losses) == [((3.2772, 3.2788), 4, variant, 2)]
    assert found.times == ()


@pytest.mark.parametrize(
    ("line", "values", "decimals"),
    [
        ("times = [79.74, 79.6]", (79.74, 79.6), 2),
        ("train_times = [79740, 79656]", (79.74, 79.656), 3),
        ("times_ms = [1740.5, 1656]", (1.7405, 1.656), 4),
        ("seconds: [1339, 1340]", (1339, 1340), 0),
    ],
)
def test_lists_of_times(line, values, decimals):
    found = read_stated(line, "README.md", ALONE)
    assert lists(found.times) == [(values, decimals, None, 1)]


@pytest.mark.parametrize(
    "line",
    [
        "train_losses = [3.2772, 3.2788]",
        "loss_diffs = [3.2772, 3.2788]",
        "steps = [1390, 1390]",
        "vals = [3.2772, 3.2788]",
        "losses = [10.8258, 4.3686, 3.2785]",  # a curve
        "losses = [3.28, 3.27]",  # no log prints so few digits
        "losses = [3.2772]",
        "losses = [3.2772, f(3)]",
        "losses = [3.2772, 3.2788] * 5",
        "losses = [3.2772, 3.2788] + more",
        "losses = [3.2772, 3.2788",
        "losses = [[3.2772, 3.2788], [3.2772, 3.2788]]",
        "times = [10.1, 20.3, 30.2]",  # a clock
        "step_times = [57.1, 57.2]",
        "loss_times = [57.1, 57.2]",
        "old_record_times = [80.1, 80.2]",  # no logs of it here
        "the losses 3.2772, 3.2788",
    ],
)
def test_no_lists(line):
    found = read_stated(line, "README.md", ALONE)
    assert (found.losses, found.times) == ((), ())


def test_a_title_says_whose_lists_follow():
    text = "## Baseline\n\nlosses = [3.27, 3.2788]\n\n## This PR\nlosses = [3.26, 3.2688]\n"
    text += "## Notes\naccs = [3.25, 3.2588]\n"
    assert lists(read_stated(text, "README.md", TWO).losses) == [
        ((3.27, 3.2788), 4, "baseline", 3),
        ((3.26, 3.2688), 4, "this_pr", 6),
        ((3.25, 3.2588), 4, None, 8),
    ]
    assert [s.at.line for s in read_stated(text, "README.md", ALONE).losses] == [6, 8]


def test_a_table_with_a_row_a_run():
    text = """\
| run | val_loss | train time (s) | steps |
|-----|:--------:|---------------:|-------|
| 1   | 3.2772   | 79.74          | 1390  |
| 2   | 3.2788   | 79.656         | 1390  |
| **mean** | 3.2780 | 79.698      | 1390  |
| std | 0.0011   | 0.0594         |       |
"""
    found = read_stated("Runs:\n\n" + text, "README.md", ALONE)
    assert lists(found.losses) == [((3.2772, 3.2788), 4, None, 3)]
    assert lists(found.times) == [((79.74, 79.656), 3, None, 3)]
    assert figures(found.loss_means) == [(3.278, 4, None, 7)]
    assert figures(found.loss_stds) == [(0.0011, 4, None, 8)]
    assert figures(found.time_means) == [(79.698, 3, None, 7)]
    assert figures(found.time_stds) == [(0.0594, 4, None, 8)]


def test_a_table_with_a_row_a_variant():
    text = """\
|          | Runs | Time μ  | Time σ | Time +/- | Time p  | Loss μ | Loss σ | Loss +/- | Loss p |
|----------|------|---------|--------|----------|---------|--------|--------|----------|--------|
| baseline | 13   | 80.7286 | 0.0618 | 0.0      | NaN     | 3.2782 | 0.0020 | 0.0      | 0.0042 |
| this PR  | 13   | 79.6849 | 0.1828 | -1.0437  | 1.2e-12 | 3.2784 | 0.0014 | +0.0001  | 6.7e-4 |
| with fp4 | 13   | 70.0001 | 0.1828 | -1.0437  | 1.2e-12 | 3.3784 | 0.0014 | +0.0001  | 6.7e-4 |
"""
    found = read_stated(text, "README.md", TWO)
    assert (found.losses, found.times) == ((), ())
    assert figures(found.loss_means) == [(3.2782, 4, "baseline", 3), (3.2784, 4, "this_pr", 4)]
    assert figures(found.loss_stds) == [(0.002, 4, "baseline", 3), (0.0014, 4, "this_pr", 4)]
    assert figures(found.time_means) == [(80.7286, 4, "baseline", 3), (79.6849, 4, "this_pr", 4)]
    assert [s.value for s in found.p_values] == [0.0042, 1.2e-12, 6.7e-4]
    assert found.p_values[2].decimals == 5
    assert [s.variant for s in read_stated(text, "README.md", ALONE).loss_means] == [None]


@pytest.mark.parametrize(("gain", "gap", "sign"), [("− baseline", "− 3.28", "-"), ("gain", "below 3.28", "+")])
def test_a_deviation_is_that_of_the_mean_beside_it(gain, gap, sign):
    text = f"""\
| variant | runs | time mean, s | std | {gain} | p faster | loss mean | std | {gap} |
|---|---:|---:|---:|---:|---:|---:|---:|---:|
| `baseline` | 5 | 80.728 | 0.060 | | | 3.27830 | 0.00093 | {sign}0.00170 |
| `this_pr` | 5 | 79.724 | 0.291 | {sign}1.003 | 5.884e-04 | 3.27814 | 0.00103 | {sign}0.00186 |
"""
    found = read_stated(text, "README.md", TWO)
    assert figures(found.time_stds) == [(0.06, 3, "baseline", 3), (0.291, 3, "this_pr", 4)]
    assert figures(found.loss_stds) == [(0.00093, 5, "baseline", 3), (0.00103, 5, "this_pr", 4)]


@pytest.mark.parametrize(
    "text",
    [
        "| method | val_loss | time |\n|---|---|---|\n| muon | 3.2772 | 79.7 |\n| soap | 3.2788 | 79.6 |\n",
        "| record | val_loss |\n|---|---|\n| 1 | 3.2772 |\n| 2 | |\n",
        "| a | b |\n| 1 | 3.2772 |\n| 2 | 3.2788 |\n",
        "| run | train_loss | Δ time |\n|---|---|---|\n| 1 | 3.2772 | 79.7 |\n| 2 | 3.2788 | 79.6 |\n",
    ],
)
def test_tables_of_other_things(text):
    assert read_stated(text, "README.md", ALONE) == Stated()


@pytest.mark.parametrize(
    ("line", "means", "stds", "ps"),
    [
        ("mean 3.2787, std 0.0016, p=0.0059", [3.2787], [0.0016], [0.0059]),
        ("val_loss: mean=3.27871, std=0.0016", [3.27871], [0.0016], []),
        ("Mean loss: 3.2787", [3.2787], [], []),
        ("The average val loss is 3.2787 over 14 runs (p-value: 5.9e-3).", [3.2787], [], [0.0059]),
        ("TtestResult(statistic=-2.95, pvalue=np.float64(0.0059), df=13)", [], [], [0.0059]),
        ("# p=0.0059", [], [], [0.0059]),
        ("# losses: (std=0.0016, mean=3.2787)", [3.2787], [0.0016], []),
        ("Mean loss: 3.2787 (p=0.0059)", [3.2787], [], [0.0059]),
    ],
)
def test_figures_in_words(line, means, stds, ps):
    found = read_stated(line, "README.md", ALONE)
    assert [s.value for s in found.loss_means] == means
    assert [s.value for s in found.loss_stds] == stds
    assert [s.value for s in found.p_values] == ps
    assert (found.time_means, found.time_stds) == ((), ())


def test_times_in_words():
    text = "Mean time: 168.7527s, std 0.4946\naverage train time of 79684.9 ms\n# time: (std=0.0814, mean=129.2043)"
    found = read_stated(text, "README.md", ALONE)
    assert figures(found.time_means) == [(168.7527, 4, None, 1), (79.6849, 4, None, 2), (129.2043, 4, None, 3)]
    assert figures(found.time_stds) == [(0.4946, 4, None, 1), (0.0814, 4, None, 3)]


@pytest.mark.parametrize(
    "line",
    [
        "the mean improved by 0.0016",
        "mean loss of the previous record: 3.2791",
        "the baseline has mean loss 3.2791, std 0.0011",
        "a record needs p < 0.01",
        "p=%.4f",
        "top-p=0.9 sampling",
        "dropout with p=0.1",
        "scipy.stats.ttest_1samp(accs, 3.28)",
        "torch.std_mean(torch.tensor(accs))",
        "step_avg: mean 57.31ms",
        "mean of 13 runs",
        "mean train loss 3.2787",
        "the loss is 3.2787",
        "in version 2.10.0",
        "std 3.2141",
        "the mean val_loss must be below 3.280",
    ],
)
def test_no_figures(line):
    assert read_stated(line, "README.md", ALONE) == Stated()


@pytest.mark.parametrize(
    "text",
    [
        "losses = [" * 20_000,
        "losses = [3.2772," + "\n3.2772," * 30_000,
        "losses = [" + "3.2772, " * 30_000 + "]",
        "mean " * 50_000,
        "mean loss 3.2787 " * 10_000,
        "p = 0.01 loss " * 10_000,
        "|" * 200_000,
        ("|" + "a|" * 1000 + "\n|" + "-|" * 1000 + "\n") * 50,
        "| val_loss |\n" + "|--|\n" * 50_000,
        "(tensor(" * 30_000,
        "-" * 250_000,
        "#" * 100_000 + "\n" + "# \n" * 50_000,
        "p_value_" * 30_000,
        "a" * 250_000 + " = [1]",
        ("x " * 30 + "= [\n") * 4_000,
        "losses = [" + "9" * 400 + ", 3.2]\nmean loss " + "9" * 400,
        ("a" * 2_000 + "\n") * 130,
        ("p = 0.01 los " * 150 + "\n") * 130,
        ("mean : " * 280 + "\n") * 130,
        ("losses " * 280 + "\n") * 130,
        "losses = [\n" * 20_000,
        "losses = [\n1,\n" * 20_000,
        "\x00" * 10_000 + "\u2028" * 10_000,
    ],
)
def test_a_hostile_readme_takes_little_time(text):
    began = time.process_time()
    found = read_stated(text, "README.md", TWO)
    assert time.process_time() - began < 2
    assert sum(len(s.values) for s in found.losses) <= 200_000
    assert len(found.p_values) <= 200
