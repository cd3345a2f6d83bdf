"""The audit of a speedrun's folder: its figures, and what each check catches and whom it may not accuse."""

import json
import random
import re
import shutil
from pathlib import Path

import pytest
from good_entry import with_status
from good_speedrun import BASELINE, NEW, Folder, Machine, log, p_below

from pgolf import tracks
from pgolf.audit.audit import Audit, audit
from pgolf.audit.checks import CHECKS
from pgolf.audit.target import TargetAudit
from pgolf.errors import BadInput
from pgolf.evidence.plan import make_plan_of_runs, write_plan

SHORT = tracks.load("nanogpt_short")
STEPS = tracks.load("nanogpt_optimization")
SHARED = Path(__file__).parents[3] / "shared" / "speedrun-records"
shared = pytest.mark.skipif(not SHARED.is_dir(), reason="no shared/speedrun-records beside the repository")


@pytest.fixture
def good(tmp_path):
    folder = Folder(tmp_path / "track_1_short" / "2026-07-17_Faster")
    folder.write()
    return folder


def found(folder, **how) -> TargetAudit:
    result = audit(folder.path, **how)
    assert isinstance(result, TargetAudit)
    return result


def status(result, name):
    return result.check(name).status


# figures


def test_a_good_folder_passes(good):
    result = found(good)
    assert result.track.name == "nanogpt_short"
    assert {c.status for c in result.checks} == {"pass", "does not apply"}
    new, base = result.check("target-loss").message, result.check("gain").message
    assert f"p = {p_below(NEW):.6f}" in new and "this_pr: mean 3.27792" in new
    assert "faster" in base and "p = " in base


def test_json_has_every_figure_by_its_name(good):
    told = json.loads(json.dumps(found(good).as_json(), allow_nan=False))
    assert told["target"] == {"loss": 3.28, "least": "train_seconds", "alpha": 0.01}
    baseline, new = told["variants"]
    assert (baseline["name"], baseline["baseline"], baseline["gain"]) == ("baseline", True, None)
    assert (new["name"], new["baseline"], new["n"], new["steps"]) == ("this_pr", False, 6, [1390])
    assert new["loss"]["p_target"] == pytest.approx(p_below(NEW), rel=1e-6)
    low, high = new["loss"]["p_range"]
    assert low < new["loss"]["p_target"] < high
    assert [r["val_loss"] for r in new["runs"]] == list(NEW)
    assert [r["train_seconds"] for r in new["runs"]] == good.seconds["this_pr"]
    assert new["runs"][0] | {"val_loss": 0, "train_seconds": 0} == {
        "log": "this_pr/this_pr-00.txt",
        "counts": True,
        "val_loss": 0,
        "step": 1390,
        "planned": 1390,
        "train_seconds": 0,
        "hardware": "NVIDIA H100 80GB HBM3",
    }
    assert new["gain"]["difference"] == pytest.approx(baseline["time"]["mean"] - new["time"]["mean"])
    assert new["gain"]["ci95"][0] < new["gain"]["difference"] < new["gain"]["ci95"][1]


def test_checks_of_seeds_sizes_and_bpb_do_not_apply(good):
    result = found(good)
    idle = with_status(result, "does not apply")
    known = {f.__name__.replace("_", "-") for f in CHECKS}
    assert {"seed-count", "seeds-distinct", "artifact-bytes", "eval-seconds", "units", "claimed-mean"} <= idle
    assert known == idle | (known & {c.id for c in result.checks if c.status != "does not apply"})
    assert all(c.message for c in result.checks)


@pytest.mark.parametrize(
    ("where", "track"),
    [
        ("track_1_short/2026-07-17_FP8", "nanogpt_short"),
        ("track_1_short/2026-07-17_FP8/this_pr", "nanogpt_short"),
        ("track_2_medium/2025-09-30_Snoo", "nanogpt_medium"),
        ("track_3_optimization/results/20260610_tuned", "nanogpt_optimization"),
        ("records/nanogpt_short/2026-11-01_mine", "nanogpt_short"),
    ],
)
def test_the_track_is_found_by_the_path(tmp_path, where, track):
    folder = Folder(tmp_path / where, {"": NEW})
    folder.write()
    assert found(folder).track.name == track


def test_another_track_may_be_forced_and_elsewhere_none_is_found(tmp_path):
    folder = Folder(tmp_path / "somewhere", {"": NEW})
    folder.write()
    assert isinstance(audit(folder.path), Audit)
    assert isinstance(audit(folder.path, SHORT), TargetAudit)
    assert found(folder, track=tracks.load("nanogpt_medium")).track.name == "nanogpt_medium"


def test_the_track_that_submission_json_names(tmp_path):
    folder = Folder(tmp_path / "somewhere", {"": NEW})
    folder.write()
    (folder.path / "submission.json").write_text('{"track": "nanogpt_short"}')
    assert found(folder).track.name == "nanogpt_short"


def test_the_day_is_that_of_the_folder_or_of_the_one_it_lies_in(good, tmp_path):
    assert str(found(good).day) == "2026-07-17"
    assert str(audit(good.path / "this_pr").day) == "2026-07-17"
    other = Folder(tmp_path / "track_3_optimization" / "20260610_tuned", {"": NEW})
    other.write()
    assert str(found(other).day) == "2026-06-10"


# target-loss


def test_a_mean_that_is_not_shown_to_be_below_the_target(good):
    good.readme("# A new attention\n\nWe changed the attention.\n")
    for number, loss in enumerate((3.2781, 3.2822, 3.2791, 3.2819, 3.2770, 3.2812)):
        good.run("this_pr", number, loss, 79.6)
    check = found(good).check("target-loss")
    assert check.status == "fail" and "runs would show it" in check.message and check.evidence


@pytest.mark.parametrize(
    "words",
    [
        "A pure systems optimization: the loss needs no p-value.",
        "The new kernel is mathematically equivalent to the old one.",
        "This is a systems speed-up.",
        "bit-identical results",
    ],
)
def test_a_speed_up_of_the_systems_kind_needs_no_p(good, words):
    good.readme(f"# Fused kernel\n\n{words}\n")
    for number, loss in enumerate((3.2781, 3.2822, 3.2791, 3.2819, 3.2770, 3.2812)):
        good.run("this_pr", number, loss, 79.6)
    assert status(found(good), "target-loss") == "warn"


def test_without_a_readme_nobody_says_of_which_kind_it_is(good):
    for number, loss in enumerate((3.2781, 3.2822, 3.2791, 3.2819, 3.2770, 3.2812)):
        good.run("this_pr", number, loss, 79.6)
    assert status(found(good), "target-loss") == "warn"
    for number in range(6):
        good.run("this_pr", number, 3.2941 + number / 1000, 79.6)
    assert status(found(good), "target-loss") == "fail"


def test_printed_digits_may_leave_it_open(tmp_path):
    folder = Folder(tmp_path / "track_1_short" / "a", {"": (3.2794, 3.2795, 3.2796)})
    folder.write()
    check = found(folder).check("target-loss")
    low, high = found(folder).variants[0].loss.p_range
    assert low < 0.01 < high
    assert check.status == "warn" and "printed digits" in check.message


def test_one_variant_that_reaches_the_target_is_enough(good):
    for number in range(4):
        good.run("ablation", number, 3.2841 + number / 1000, 79.0)
    result = found(good)
    assert status(result, "target-loss") == status(result, "gain") == "pass"
    assert "ablation: mean 3.28560" in result.check("target-loss").message


def test_where_none_reaches_the_target_the_nearest_variant_is_judged(good):
    for number in range(4):
        good.run("ablation", number, 3.2941 + number / 1000, 79.0)
    for number, loss in enumerate((3.2781, 3.2822, 3.2791, 3.2819, 3.2770, 3.2812)):
        good.run("this_pr", number, loss, 79.6)
    check = found(good).check("target-loss")  # a warning for this_pr alone, too: there is no README
    assert check.status == "warn" and "ablation: mean 3.29560" in check.message and "this_pr: mean" in check.message
    assert {e.file.partition("/")[0] for e in check.evidence} == {"this_pr"}


def test_one_run_beside_an_ablation_that_misses_the_target_is_no_failure(tmp_path):
    folder = Folder(tmp_path / "track_1_short" / "a", {"this_pr": (3.2785,), "without_it": (3.2841, 3.2852, 3.2860)})
    folder.write()
    assert status(found(folder), "target-loss") == "unknown"


def test_numbers_that_can_be_no_loss_and_no_time(good):
    good.run("this_pr", 0, "9e300", 79.6)
    path = good.name("this_pr", 1)
    path.write_text(
        path.read_text().replace(f"train_time:{1000 * good.seconds['this_pr'][1]:.0f}ms", "train_time:1e300ms")
    )
    result = found(good)
    assert status(result, "log-complete") == "fail" and result.variants[1].loss.n == 5


def test_a_number_that_can_be_no_loss_says_nothing_of_how_far_runs_went(tmp_path):
    folder = Folder(tmp_path / "track_1_short" / "2026-07-17_Half", {"": NEW[:2]})
    folder.write()
    folder.run("", 0, "9e300", 79.6)
    folder.run("", 1, 3.2785, 60.0, steps=1000, planned=1390)
    (figures,) = found(folder).variants
    assert (figures.steps, len(figures.results), len(figures.cut_short)) == ((1000,), 1, 1)


def test_one_run_shows_no_p(tmp_path):
    folder = Folder(tmp_path / "track_1_short" / "2024-10-10_Muon", {"": (3.2785,)})
    folder.write()
    result = found(folder)
    assert with_status(result, "fail") == set()
    assert (status(result, "target-loss"), status(result, "run-count")) == ("unknown", "warn")


# gain


def test_a_slower_variant_fails_and_a_gain_by_chance_warns(good):
    for number, took in enumerate((80.9, 81.1, 80.8, 81.0, 80.9, 81.2)):
        good.run("this_pr", number, NEW[number], took)
    check = found(good).check("gain")
    assert check.status == "fail" and "slower" in check.message
    for number, took in enumerate((80.5, 80.9, 80.6, 80.8, 80.4, 80.9)):
        good.run("this_pr", number, NEW[number], took)
    check = found(good).check("gain")
    assert check.status == "warn" and "not below 0.01" in check.message


def test_times_of_other_hardware_do_not_compare(good):
    for number, (loss, took) in enumerate(zip(NEW, good.seconds["this_pr"], strict=True)):
        good.run("this_pr", number, loss, took - 20, machine=Machine("NVIDIA H200"))
    result = found(good)
    assert (status(result, "gain"), status(result, "hardware")) == ("unknown", "warn")
    assert "do not compare" in result.check("gain").message
    assert with_status(result, "fail") == set()


def test_times_of_another_torch_do_not_compare(good):
    for number, (loss, took) in enumerate(zip(NEW, good.seconds["this_pr"], strict=True)):
        good.run("this_pr", number, loss, took, machine=Machine(torch="2.11.0"))
    result = found(good)
    assert (status(result, "gain"), status(result, "same-versions")) == ("unknown", "warn")


def test_without_a_baseline_the_gain_is_unknown_unless_one_is_named(good, tmp_path):
    shutil.move(good.path / "baseline", tmp_path / "old_record")
    assert status(found(good), "gain") == "unknown"
    result = found(good, against=tmp_path / "old_record")
    assert status(result, "gain") == "pass" and "old_record" in result.check("gain").message
    assert [v.name for v in result.variants] == ["this_pr"] and result.baseline is not None
    assert result.as_json()["against"] == str(tmp_path / "old_record")
    assert status(found(good, against="auto"), "gain") == "unknown"


def test_a_baseline_of_another_folder_that_is_not_plain(good, tmp_path):
    with pytest.raises(BadInput, match="a baseline of its own"):
        found(good, against=good.path / "this_pr")
    with pytest.raises(BadInput, match="not with a ledger entry"):
        found(good, against="pr1493")
    several = Folder(tmp_path / "several", {"a": BASELINE, "b": NEW})
    several.write()
    shutil.rmtree(good.path / "baseline")
    with pytest.raises(BadInput, match="several variants"):
        found(good, against=several.path)


@pytest.mark.parametrize(("steps", "expected"), [(1300, "pass"), (1390, "fail"), (1400, "fail")])
def test_where_steps_count_the_gain_is_fewer_steps(tmp_path, steps, expected):
    folder = Folder(tmp_path / "track_3_optimization" / "a")
    folder.write()
    for number, loss in enumerate(NEW):
        folder.run("this_pr", number, loss, 99.0, steps=steps)
    check = found(folder).check("gain")
    assert check.status == expected and f"this_pr: {steps} steps, baseline 1390" in check.message


# runs


def test_a_run_that_ended_before_the_others_is_named_and_does_not_count(good):
    good.run("this_pr", 3, 3.41, 60.0, steps=1000, planned=1390)
    result = found(good)
    check = result.check("log-complete")
    assert check.status == "warn" and "this_pr-03.txt" in check.message and "step 1000 of 1390" in check.message
    new = next(v for v in result.variants if v.name == "this_pr")
    assert new.loss.n == 5 and [r.log.name for r in new.cut_short] == ["this_pr-03.txt"]
    assert [r["counts"] for r in result.as_json()["variants"][1]["runs"]] == [True, True, True, False, True, True]
    assert "this_pr-03.txt does not count" in result.check("runs-left-out").message


def test_a_run_that_crashed_or_ended_in_nan_fails(good):
    path = good.run("this_pr", 3, 3.41, 60.0, steps=1000, planned=1390)
    path.write_text(
        path.read_text() + "Traceback (most recent call last):\nRuntimeError: CUDA error: an illegal access\n"
    )
    assert status(found(good), "log-complete") == "fail"
    good.run("this_pr", 3, "nan", 79.6)
    check = found(good).check("log-complete")
    assert check.status == "fail" and "is nan" in check.message and check.evidence[0].file == "this_pr/this_pr-03.txt"


@pytest.mark.parametrize(("track", "expected"), [("track_1_short", "fail"), ("track_3_optimization", "warn")])
def test_a_clock_that_runs_backwards_at_the_end(tmp_path, track, expected):
    folder = Folder(tmp_path / track / "a")
    folder.write()
    assert status(found(folder), "log-complete") == "pass"
    path = folder.name("this_pr", 2)
    took = f"{1000 * folder.seconds['this_pr'][2]:.0f}ms"
    path.write_text(path.read_text().replace(took, "60000ms"))
    check = found(folder).check("log-complete")
    assert check.status == expected and "this_pr-02.txt: the clock runs backwards, from 7" in check.message


def test_a_clock_that_begins_anew_in_the_first_steps_is_honest(good):
    path = good.name("this_pr", 2)
    path.write_text(path.read_text().replace("step:250/", "step:10/1390 val_loss:7.1 train_time:99999ms\nstep:250/", 1))
    assert status(found(good), "log-complete") == "pass"


def test_an_error_above_the_first_step_is_no_crash(good):
    path = good.run("this_pr", 3, NEW[3], 79.6, steps=1380, planned=1390)
    lines = path.read_text().replace("step:0/", "[rank0]:W1 RuntimeError: out of resource, choice skipped\nstep:0/")
    path.write_text(lines)
    check = found(good).check("log-complete")
    assert check.status == "warn" and "step 1380 of 1390" in check.message


def test_a_tail_that_all_logs_leave_out_is_a_warning(tmp_path):
    folder = Folder(tmp_path / "track_1_short" / "2024-12-04_ValueEmbed", {"": NEW})
    folder.write(steps=1350, planned=1390)
    result = found(folder)
    assert with_status(result, "fail") == set() and status(result, "log-complete") == "warn"
    assert result.variants[0].loss.n == len(NEW)


def test_a_run_that_stops_by_plan_before_its_planned_step_counts_as_the_others_do(good):
    for number, loss in enumerate(NEW):
        good.run("this_pr", number, loss, 79.6 + number / 50, steps=1380, planned=1390)
    result = found(good)
    assert result.variants[1].loss.n == 6 and with_status(result, "fail") == set()


def test_few_runs_are_a_warning(good):
    for number in range(2, 6):
        good.name("this_pr", number).unlink()
    check = found(good).check("run-count")
    assert check.status == "warn" and "this_pr has 2 runs that count, the track asks for 3" in check.message


def test_there_are_as_many_runs_as_were_planned(good):
    plan = make_plan_of_runs("x", "nanogpt_short", "mine", ("this_pr", "baseline") * 6, (), {})
    write_plan(good.path, plan)
    assert status(found(good), "run-count") == "pass"
    good.name("this_pr", 5).unlink()
    check = found(good).check("run-count")
    assert check.status == "fail" and "names 6 runs of this_pr, and there are logs of 5" in check.message
    for number in (5, 6):
        good.run("this_pr", number, 3.2770 + number / 10_000, 79.6)
    check = found(good).check("run-count")
    assert check.status == "warn" and "names 6 runs of this_pr, and there are logs of 7" in check.message
    (good.path / "plan.json").write_text("[")
    check = found(good).check("run-count")
    assert check.status == "unknown" and check.message.startswith("plan.json: not a plan")


def test_a_run_that_planned_fewer_steps_and_made_them_counts(good):
    good.run("this_pr", 0, NEW[0], 79.6, steps=1385)
    new = found(good).variants[1]
    assert new.loss.n == 6 and new.steps == (1385, 1390) and new.cut_short == ()


def test_a_folder_with_the_baseline_alone(good):
    shutil.rmtree(good.path / "this_pr")
    result = found(good)
    assert with_status(result, "fail") == set()
    assert {"target-loss", "gain", "run-count"} <= with_status(result, "unknown")


def test_a_copy_does_not_count_and_is_named(good):
    shutil.copy(good.name("this_pr", 3), good.name("this_pr", 9))
    result = found(good)
    check = result.check("runs-distinct")
    assert check.status == "warn" and "this_pr-09.txt is a copy of this_pr/this_pr-03.txt" in check.message
    assert result.variants[1].loss.n == 6
    assert result.as_json()["copies"] == [
        {"log": "this_pr/this_pr-09.txt", "of": "this_pr/this_pr-03.txt", "exact": True}
    ]


def test_one_run_in_the_baseline_and_the_new_variant_fails(good):
    shutil.copy(good.name("baseline", 2), good.name("this_pr", 9))
    check = found(good).check("runs-distinct")
    assert check.status == "fail" and "can't be the baseline's" in check.message


@pytest.mark.parametrize("variant", ["baseline", "this_pr"])
def test_a_log_that_was_edited_into_another_fails(good, variant):
    text = good.name(variant, 2).read_text()
    old = {"baseline": "3.2795", "this_pr": "3.2791"}[variant]
    good.name("this_pr", 9).write_text(text.replace(f"step:1390/1390 val_loss:{old}", "step:1390/1390 val_loss:3.2761"))
    check = found(good).check("runs-distinct")
    assert check.status == "fail" and "tell otherwise of it: step 1390 has loss 3.2761 at" in check.message


def test_a_log_that_was_cut_off_and_is_there_twice_is_a_warning(good):
    lines = good.name("this_pr", 2).read_text().splitlines()
    for cut in ("\n".join(lines[:-3]), "\n".join(lines[:-1])[:-40]):
        good.name("this_pr", 9).write_text(cut)
        assert status(found(good), "runs-distinct") == "warn"


def test_one_run_in_two_new_variants_is_a_warning(good):
    shutil.copytree(good.path / "this_pr", good.path / "all_runs")
    result = found(good)
    assert status(result, "runs-distinct") == "warn" and with_status(result, "fail") == set()


def test_the_same_curve_with_another_clock_fails(good):
    text = good.name("this_pr", 3).read_text()
    other = "\n".join(
        line.replace("ms step_avg", f"{i % 7}ms step_avg") if "step_avg" in line and "step:0/" not in line else line
        for i, line in enumerate(text.splitlines())
    )
    good.name("this_pr", 9).write_text(other)
    check = found(good).check("runs-distinct")
    assert check.status == "fail" and "one draw, which the test counts twice" in check.message


def test_a_baseline_of_another_folder_with_a_run_of_this_one_fails(good, tmp_path):
    shutil.move(good.path / "baseline", tmp_path / "old")
    assert status(found(good, against=tmp_path / "old"), "runs-distinct") == "pass"
    shutil.copy(good.name("this_pr", 0), tmp_path / "old" / "x.txt")
    assert status(found(good, against=tmp_path / "old"), "runs-distinct") == "fail"


def later(text):
    """A log with each clock 7 ms later."""
    return re.sub(r"train_time:([1-9]\d*)", lambda found: f"train_time:{int(found[1]) + 7}", text)


def noisy(text, number):
    """A log with a clock of its own."""
    draw = random.Random(number)
    later = (f"train_time:{int(t) + 900 + draw.randrange(90)}" for t in re.findall(r"train_time:([1-9]\d*)", text))
    return re.sub(r"train_time:[1-9]\d*", lambda _: next(later), text)


def test_a_deterministic_change_of_the_systems_kind_is_not_accused(good, tmp_path):
    """For one seed it has the baseline's losses to the digit, and clocks of its own."""
    for number in range(6):
        good.name("baseline", number).write_text(noisy(good.name("this_pr", number).read_text(), number))
    check = found(good).check("runs-distinct")
    assert check.status == "warn" and "leaves each loss as it was" in check.message
    shutil.move(good.path / "baseline", tmp_path / "old")
    assert status(found(good, against=tmp_path / "old"), "runs-distinct") == "warn"


def test_a_baseline_made_of_the_new_program_s_logs_fails(good, tmp_path):
    for number in range(6):
        good.name("baseline", number).write_text(later(good.name("this_pr", number).read_text()))
    check = found(good).check("runs-distinct")
    assert check.status == "fail" and "can't be the baseline's and the new program's" in check.message
    shutil.move(good.path / "baseline", tmp_path / "old")
    assert status(found(good, against=tmp_path / "old"), "runs-distinct") == "fail"


def test_an_edited_copy_with_later_clocks_fails(good):
    text = later(good.name("this_pr", 2).read_text())
    good.name("this_pr", 9).write_text(text.replace("val_loss:3.2791", "val_loss:3.2761"))
    check = found(good).check("runs-distinct")
    assert check.status == "fail" and "have the same 5 of 6 losses: an edited copy" in check.message


def test_equal_losses_and_times_of_honest_runs_are_no_copies(tmp_path):
    folder = Folder(tmp_path / "track_1_short" / "a", {"": (3.2781,) * 3 + (3.2790,) * 3}, {"": 79.6})
    for number, loss in enumerate(folder.variants[""]):
        folder.run("", number, loss, 79.6)
    result = found(folder)
    assert status(result, "runs-distinct") == "pass" and result.variants[0].loss.n == 6


def test_numbered_logs_have_no_gap(tmp_path):
    folder = Folder(tmp_path / "track_1_short" / "a")
    folder.path.mkdir(parents=True)
    for number in (0, 1, 2, 4, 5):
        (folder.path / f"fast_seed{number}.txt").write_text(log(NEW[number], 79.6 + number / 50))
    check = found(folder).check("runs-left-out")
    assert check.status == "warn" and "no log number 3" in check.message
    (folder.path / "fast_seed3.txt").write_text(log(3.2779, 79.7))
    assert status(found(folder), "runs-left-out") == "pass"
    for number in range(6):
        (folder.path / f"fast_seed{number}.txt").rename(folder.path / f"fast_seed{number * 100 + 42}.txt")
    assert status(found(folder), "runs-left-out") == "pass"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mine_seed3.txt", "step:1/1390 train_time:99ms step_avg:99.00ms\n"),
        ("mine.txt", f"{Machine()}\n"),
        ("mine.log", "Traceback (most recent call last):\nRuntimeError: NCCL\n"),
    ],
)
def test_a_run_that_crashed_before_its_first_loss_is_named(good, name, text):
    (good.path / "this_pr" / name).write_text(text)
    check = found(good).check("runs-left-out")
    assert check.status == "warn" and f"this_pr/{name} does not count: no loss of a run in it" in check.message


def test_a_text_that_shows_no_run_is_not_named(good):
    (good.path / "this_pr" / "thoughts.txt").write_text("I tried PyTorch nightly.\nAn error: none.\n")
    assert status(found(good), "runs-left-out") == "pass"


@pytest.mark.parametrize("around", ["this_pr", ""])
def test_runs_in_a_folder_inside_a_variant_s_are_told(tmp_path, around):
    more = f"{around}/more".strip("/")
    folder = Folder(tmp_path / "track_1_short" / "a", {"baseline": BASELINE, around: NEW, more: (3.2841, 3.2852)})
    folder.write()
    check = found(folder).check("runs-left-out")
    assert check.status == "warn" and f"2 runs in {more}/" in check.message
    assert "count apart from those of" in check.message


def test_runs_of_other_steps_sources_and_machines_in_one_variant_are_warned_of(good):
    good.run("this_pr", 0, NEW[0], 79.6, steps=1395)
    check = found(good).check("same-steps")
    assert check.status == "warn" and "runs of 1390, 1395 steps" in check.message
    good.write()
    good.run("this_pr", 0, NEW[0], 79.6, source="import torch\nlr = 0.03\n")
    check = found(good).check("same-program")
    assert check.status == "warn" and check.message.endswith("with another: this_pr/this_pr-00.txt")
    good.run("this_pr", 0, NEW[0], 79.6, machine=Machine(count=4))
    assert status(found(good), "hardware") == "warn"
    good.run("this_pr", 0, NEW[0], 79.6, machine="")
    result = found(good)
    assert status(result, "hardware") == "unknown" and with_status(result, "fail") == set()


def test_step_lines_above_the_first_loss_are_no_settings(good):
    for path in good.path.rglob("*.txt"):
        text = path.read_text()
        path.write_text("".join(line for line in text.splitlines(keepends=True) if "step:0/" not in line))
    check = found(good).check("same-program")
    assert check.status == "pass" and "train_time" not in check.message


def test_where_steps_count_the_most_steps_of_a_variant_count(tmp_path):
    folder = Folder(tmp_path / "track_3_optimization" / "a")
    folder.write()
    for number, loss in enumerate(NEW):
        folder.run("this_pr", number, loss, 99.0, steps=1395 if number == 2 else 1300)
    result = found(folder)
    assert "1395 count" in result.check("same-steps").message
    assert status(result, "gain") == "fail"


# the public logs


@shared
def test_the_public_record_with_its_baseline():
    result = audit(SHARED / "track_1_short" / "2026-07-17_FP8DownProjection", SHORT)
    baseline, new = result.as_json()["variants"]
    assert (baseline["name"], baseline["n"], new["name"], new["n"]) == ("baseline", 13, "this_pr", 13)
    assert new["loss"]["mean"] == pytest.approx(3.2783692, abs=5e-8)
    assert new["loss"]["std"] == pytest.approx(0.0014156, abs=5e-8)
    assert new["loss"]["p_target"] == pytest.approx(0.00066906, abs=5e-9)
    assert new["time"]["mean"] == pytest.approx(79.684923, abs=5e-7)
    assert new["time"]["std"] == pytest.approx(0.182767, abs=5e-7)
    assert new["gain"]["difference"] == pytest.approx(1.043692, abs=5e-7)
    assert new["gain"]["p"] == pytest.approx(2.4562e-12, rel=1e-4)
    assert with_status(result, "fail") == with_status(result, "warn") == set()


@shared
def test_the_public_record_of_the_author_s_lists():
    result = audit(SHARED / "track_1_short" / "2025-08-23_SparseAttnGate")
    (only,) = result.as_json()["variants"]
    assert round(only["loss"]["mean"], 4) == 3.2787 and round(only["loss"]["std"], 4) == 0.0016
    assert round(only["loss"]["p_target"], 4) == 0.0059
    assert (round(only["time"]["mean"], 4), round(only["time"]["std"], 4)) == (168.7527, 0.4946)


@shared
def test_no_public_record_is_accused():
    folders = {log.parent for log in SHARED.rglob("*.txt")}
    folders = {f.parent if f.name in ("this_pr", "baseline") else f for f in folders}
    counted = 0
    for folder in sorted(folders):
        result = audit(folder)
        assert isinstance(result, TargetAudit) and with_status(result, "fail") == set(), folder
        assert with_status(result, "warn") <= {"run-count"}, folder
        assert status(result, "log-complete") == "pass"
        counted += sum(len(v.results) for v in result.variants)
    assert (len(folders), counted) == (7, 58)


def test_every_finding_has_a_remedy(good):
    from pgolf.audit.checks.speedrun import SPEEDRUN_CHECKS
    from pgolf.audit.remedies import SPEEDRUN_REMEDIES

    assert set(SPEEDRUN_REMEDIES) == {f.__name__.replace("_", "-") for f in SPEEDRUN_CHECKS}


@pytest.mark.parametrize("ends", [(2839, 2843, 2846, 2847, 2851), (2825, 2825, 2850, 2850, 2875)])
def test_runs_that_a_clock_or_the_target_stops_all_count(tmp_path, ends):
    folder = Folder(tmp_path / "track_3_optimization" / "a", {"": NEW[:5]})
    for number, (loss, end) in enumerate(zip(NEW, ends, strict=False)):
        folder.run("", number, loss, 400.0, steps=end, planned=2900)
    folder.run("", 5, 3.41, 300.0, steps=2000, planned=2900)
    result = found(folder)
    (figures,) = result.variants
    assert (figures.loss.n, len(figures.cut_short), figures.steps) == (5, 1, tuple(sorted(set(ends))))
    assert status(result, "same-steps") == "warn" and with_status(result, "fail") == set()
