"""What the figures show: short runs, losses that are no numbers, names and numbers that hide nothing, one sign."""

import math
import warnings
from dataclasses import replace
from itertools import combinations

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from pgolf import ledger
from pgolf.audit.differences import StageDifference
from pgolf.report import alt, figures, target_figures
from pgolf.report.target_figures import Curves, Point
from pgolf.stats.comparison import Comparison, compare
from pgolf.stats.sample import from_seeds

STANDING = ledger.load("pr1493")  # of 4,550 steps
LONG = "2026-03-20_Int6_MLP3x_SmearGate_BigramHash_MuonWD_SWA"


def seed(number: int | None, *curve: tuple[int, float]) -> ledger.SeedScore:
    """A seed with these (step, loss)."""
    return replace(STANDING.seeds[0], seed=number, curve=curve, curve_seconds=tuple(step / 8 for step, _ in curve))


def drawn(figure: Figure) -> Figure:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.draw_without_rendering()
    return figure


def labels(figure: Figure) -> list[str]:
    """The names in the legend, as they are read: row by row."""
    figure.draw_without_rendering()
    texts = figure.axes[0].get_legend().get_texts()
    return [text.get_text() for text in sorted(texts, key=lambda text: (-round(box(text).y0 / 4), box(text).x0))]


def box(text: Text) -> Bbox:
    return text.get_window_extent()


def apart(texts: list[Text]) -> bool:
    return not any(Bbox.intersection(box(a), box(b)) for a, b in combinations(texts, 2))


def notes(figure: Figure) -> list[Text]:
    return [text for text in figure.axes[0].texts if text.get_text()]


@pytest.mark.parametrize("by", ["step", "seconds"])
@pytest.mark.parametrize(
    "curve",
    [[(100, 5.2)], [(0, 10.2)], [(1, 9.0), (100, 5.2)], [(500, 3.3), (1000, 3.2), (2000, 3.1)]],
    ids=["one loss", "before the first step", "a fiftieth", "half"],
)
def test_a_run_shorter_than_the_standing_record_shows(curve, by):
    axes = drawn(figures.loss_curves([seed(42, *curve)], STANDING, by)).axes[0]
    x, loss = (curve[-1][0] if by == "step" else curve[-1][0] / 8), curve[-1][1]
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    assert left <= x < right and low < loss < high
    assert x == 0 or x > right / 4
    (mine,) = (line for line in axes.lines if line.get_label() == "seed 42")
    assert list(mine.get_ydata()) == [loss for _, loss in curve]


def test_the_frame_says_that_the_standing_record_goes_on():
    short, whole = seed(42, (100, 5.2)), seed(42, (500, 3.3), (4500, 2.8))
    assert "goes on to 4,5" in figures.loss_curves([short], STANDING).axes[0].get_xlabel()
    assert figures.loss_curves([whole], STANDING).axes[0].get_xlabel() == "step"


def test_a_standing_record_shorter_than_the_run_is_drawn_whole():
    axes = figures.loss_curves([seed(42, (500, 3.3), (50_000, 2.8))], STANDING).axes[0]
    assert axes.get_xlim()[1] > 50_000 and len(axes.lines) == 4


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e30])
def test_a_loss_that_is_no_number_is_left_out_and_told(bad):
    figure = drawn(figures.loss_curves([seed(42, (500, 3.5), (1000, bad)), seed(7, (500, bad))], STANDING))
    assert labels(figure) == ["pr1493 (3 seeds)", "seed 42 (not all finite)", "seed 7 (not all finite)"]
    assert figure.axes[0].get_ylim()[1] < 4
    assert alt.of_loss_curves([seed(7, (500, bad))], None) == "Training loss of 1 seed over steps"


@pytest.mark.parametrize("curve", [[], [(500, math.nan)]])
def test_nothing_to_draw_is_said(curve):
    figure = drawn(figures.loss_curves([seed(42, *curve)], None))
    assert [t.get_text() for t in notes(figure)] == ["no loss by step"]


def test_runs_of_one_seed_and_of_none_are_told_apart():
    assert figures.names([seed(1, (1, 2.0)), seed(1), seed(None), seed(2)]) == [
        "seed 1, run 1",
        "seed 1, run 2",
        "run 3",
        "seed 2",
    ]


def test_names_are_read_in_the_order_of_the_seeds():
    figure = figures.loss_curves([seed(n, (500, 3.3), (4500, 2.8)) for n in (42, 314, 999)], STANDING)
    assert labels(figure)[1:] == ["seed 42", "seed 314", "seed 999"]
    texts = figure.axes[0].get_legend().get_texts()
    assert len({round(box(text).y0) for text in texts}) > 1  # in more than one row


@pytest.mark.parametrize(("name", "seeds"), [("base", 3), (LONG, 1), (LONG, 3), ("x" * 300, 8), ("$_{2}$", 8)])
def test_names_are_above_the_plot_and_inside_the_figure(name, seeds):
    figure = figures.loss_curves(
        [seed(10**6 + i, (500, 3.3), (4500, 2.8)) for i in range(seeds)], replace(STANDING, name=name)
    )
    axes = drawn(figure).axes[0]
    names, plot = axes.get_legend().get_window_extent(), axes.get_window_extent()
    assert names.y0 >= plot.y1 and names.x1 <= figure.bbox.x1 + 2
    assert plot.width > 0.75 * figure.bbox.width and plot.height > 0.3 * figure.bbox.height


def stages(gain: float, count: int = 4) -> list[StageDifference]:
    names = ["pre-quant", "quantized", "sliding window", "adapted (TTT)"][:count]
    means = [1.0877, 1.0995, 1.0827, 1.0810]
    return [
        StageDifference(n, n, (m, m + 1e-4), (m - gain, m - gain + 1e-4)) for n, m in zip(names, means, strict=False)
    ]


@pytest.mark.parametrize("gain", [0.00117, -0.00117, 0.13, -0.13, 0.0, 1e-9, -1e-9])
def test_a_gain_has_the_sign_of_the_table(gain):
    figure = drawn(figures.stage_waterfall(stages(gain), "mine", "pr1493"))
    shown = [t.get_text() for t in notes(figure)][-4:]
    assert set(shown) == {f"{gain:+.5f}".replace("-", "−") if round(gain, 5) else "0.00000"}
    assert f"(gain {shown[0].replace('−', '-')})" in alt.of_stages(stages(gain), STANDING)


@pytest.mark.parametrize(
    ("gain", "count"), [(0.0, 1), (0.00117, 2), (-0.00117, 3), (0.00117, 4), (-0.00117, 4), (0.0, 4)]
)
def test_no_number_of_the_stages_hides_another(gain, count):
    figure = drawn(figures.stage_waterfall(stages(gain, count), LONG, LONG))
    axes = figure.axes[0]
    assert apart(notes(figure)) and apart(axes.get_xticklabels())
    assert axes.get_window_extent().width > 0.75 * figure.bbox.width
    assert all(box(text).y1 < axes.get_window_extent().y1 for text in notes(figure))


def comparison(gain: float, seeds: int = 3) -> Comparison:
    old = from_seeds("old", [1.081, 1.0812, 1.0809], val_bytes=1000)
    new = from_seeds("new", [1.081 - gain + 1e-4 * i for i in range(seeds)], val_bytes=1000)
    return compare(replace(new, bytes_per_token=2.4), replace(old, bytes_per_token=2.4))


@pytest.mark.parametrize(
    ("gain", "seeds"), [(0.0, 3), (0.0005, 1), (0.003, 3), (0.02, 1), (-0.0005, 3), (-0.02, 3), (-0.1, 1)]
)
def test_no_name_hides_another_where_the_gain_is(gain, seeds):
    figure = drawn(figures.gain_interval(comparison(gain, seeds)))
    axes = figure.axes[0]
    assert apart([*notes(figure), *axes.get_yticklabels()]) and apart(axes.get_xticklabels())
    assert all(box(t).x0 > 0 and box(t).x1 <= figure.bbox.x1 for t in notes(figure))
    assert alt.of_gain(comparison(gain, seeds)).startswith(
        f"Gain over old: {comparison(gain, seeds).delta_bpb:+.5f} bits"
    )


def test_a_speedruns_figure_is_read_on_a_phone():
    curve = [Point(step, 3.5 - step / 5000, step / 10) for step in range(100, 1500, 100)]
    variants = [Curves("baseline", True, [("a", curve)]), Curves(LONG, False, [("b", curve)] * 2)]
    figure = drawn(target_figures.both(variants, "step", 3.28))
    smallest = min(t.get_fontsize() for t in figure.findobj(Text) if t.get_text())
    assert smallest * 358 / (72 * figure.get_figwidth()) > 8  # pixels, in a page of 390
    assert "target 3.28" in [t.get_text() for t in figure.axes[1].get_legend().get_texts()]
    assert f"{LONG[:33]}… (2 runs)" in labels(figure) and "baseline (1 run)" in labels(figure)
