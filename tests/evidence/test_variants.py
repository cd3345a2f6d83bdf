"""A speedrun's folder: which files are logs of runs, which variant is the baseline, and which run counts how often."""

import os
import random

import pytest

from pgolf.errors import BadInput
from pgolf.evidence.variants import is_baseline, read_variants, result_of

HEAD = 'print0(f"step:{step}/{steps} val_loss:{val_loss:.4f} train_time:{ms:.0f}ms", console=True)\n' + "=" * 100 + "\n"


def curve(seed, final=3.2785, steps=1000, drift=1.0):
    """The log of a run: losses by one random stream, clocks by another."""
    noise = random.Random(seed)
    lines = [f"step:0/{steps} val_loss:10.8258 train_time:0ms step_avg:0.04ms"]
    for step in range(125, steps + 1, 125):
        loss = final if step == steps else 3 + 4 / step**0.2 + noise.gauss(0, 0.002)
        took = step * 58.0 * drift + noise.random() * 20
        lines.append(f"step:{step}/{steps} train_time:{took - 1:.0f}ms step_avg:{took / step:.2f}ms")
        lines.append(f"step:{step}/{steps} val_loss:{loss:.4f} train_time:{took:.0f}ms step_avg:{took / step:.2f}ms")
    return HEAD + "\n".join(lines) + "\npeak memory allocated: 30220 MiB reserved: 38672 MiB\n"


@pytest.fixture
def folder(tmp_path):
    def folder(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_txt", ".txt").replace("_md", ".md")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return read_variants(tmp_path)

    return folder


def figures(found):
    return {v.name: sorted(result_of(r).loss for r in v.runs) for v in found.variants}


def test_logs_lie_in_the_folder_or_in_a_sub_folder_a_variant(folder):
    found = folder(
        a_txt=curve(1, 3.2781),
        baseline__b_txt=curve(2, 3.2782),
        this_pr__c_txt=curve(3, 3.2783),
        this_pr__logs__d_txt=curve(4, 3.2784),
        notes_txt="nothing",
        requirements_txt="torch==2.10",
        other_txt="a table: 3.2781 3.2782\n",
    )
    assert figures(found) == {"": [3.2781], "baseline": [3.2782], "this_pr": [3.2783], "this_pr/logs": [3.2784]}
    assert found.baseline is found.variants[1]
    assert found.name_of(found.variants[3].runs[0]) == "this_pr/logs/d.txt"
    assert found.unread == {}


def test_no_folder_and_no_log(tmp_path):
    with pytest.raises(BadInput, match="no folder"):
        read_variants(tmp_path / "missing")
    (tmp_path / "a.txt").write_text("step by step\n")
    with pytest.raises(BadInput, match="no log of a run"):
        read_variants(tmp_path)


@pytest.mark.parametrize(
    ("name", "others", "is_one"),
    [
        ("baseline", [], True),
        ("baseline/logs", ["this_pr"], True),
        ("Baseline_runs", ["this_pr"], True),
        ("baseline_v2", ["this_pr"], True),
        ("prev_record_pr118", ["x"], True),
        ("control_2025-09-03", ["x"], True),
        ("main", ["this_pr"], True),
        ("baseline_8xH100", ["x"], True),
        ("old", ["new_logs"], True),
        ("main", ["pr118"], True),
        ("old_record", ["x"], True),
        ("base", ["x"], True),
        *(
            (f"baseline{rest}", ["this_pr"], True)
            for rest in ("1", "_seed0", "_h100_sxm", "_results", "_txt", "_local")
        ),
        ("baseline_n10", ["this_pr"], True),
        ("wr", ["this_pr"], True),
        ("record_76", ["this_pr"], True),
        ("record", ["baseline"], False),
        ("record", ["ablation_pr12"], False),
        ("record", ["tests"], False),
        ("new_wr", ["this_pr"], False),
        ("current_record", ["x"], False),
        ("records", ["x"], False),
        ("main", ["ablation"], False),
        ("main", [], False),
        ("this_pr", ["baseline"], False),
        ("this_pr_v2", ["baseline"], False),
        ("tuned_baseline", ["x"], False),
        ("new_baseline", ["x"], False),
        ("baseline_with_fp8", ["this_pr"], False),
        ("20260610_tuned_baseline_3250", ["20260430_adamh"], False),
        ("20260610_baseline", ["20260430_adamh"], False),
        ("2025-08-23_Baseline", [], False),
        ("logs", ["x"], False),
        ("", ["baseline"], False),
    ],
)
def test_the_baseline_is_told_by_its_name(name, others, is_one):
    assert is_baseline(name, others) is is_one


def test_variants_by_the_beginning_of_their_logs_names(folder):
    names = ("baseline_seed0", "baseline_seed1", "this_pr_seed0", "this_pr_seed1", "this_pr_seed2")
    found = folder(**{f"{name}_txt": curve(name) for name in names})
    assert [(v.name, v.baseline, len(v.runs)) for v in found.variants] == [("baseline", True, 2), ("this_pr", False, 3)]


def test_logs_of_one_variant_keep_their_folder(folder):
    found = folder(**{f"{name}_txt": curve(name) for name in ("a_seed0", "b_seed1", "baseline")})
    assert [(v.name, len(v.runs)) for v in found.variants] == [("", 3)]


def test_a_log_too_deep_is_named(folder):
    found = folder(a_txt=curve(1), b__c__d__e__f__g_txt=curve(2))
    assert list(found.unread) == ["b/c/d/e/f/g.txt"] and "over 4 folders below" in found.unread["b/c/d/e/f/g.txt"]


def test_a_log_filled_up_with_nul_bytes(folder):
    assert figures(folder(a_txt="\0" * 200_000 + curve(1).replace("step:1000/", "\0\0step:1000/"))) == {"": [3.2785]}


def test_a_copied_log_counts_once_and_for_the_baseline(folder):
    found = folder(
        baseline__a_txt=curve(1), baseline__b_txt=curve(2), this_pr__c_txt=curve(3), this_pr__a_txt=curve(1) + "\n"
    )
    assert [len(v.runs) for v in found.variants] == [2, 1]
    (copy,) = found.variants[1].copies
    assert (copy.file, copy.of, copy.exact) == ("this_pr/a.txt", "baseline/a.txt", False)


def test_a_copy_that_is_cut_off_gives_way_to_the_whole_log(folder):
    whole = curve(1)
    found = folder(a_txt=whole[: whole.index("step:625/")], b_txt=whole, c_txt=whole)
    (variant,) = found.variants
    assert [result_of(r).step for r in variant.runs] == [1000]
    assert [(c.file, c.of, c.exact) for c in variant.copies] == [("a.txt", "b.txt", False), ("c.txt", "b.txt", True)]


def test_equal_losses_with_other_clocks_are_a_repeated_run(folder):
    found = folder(a_txt=curve(1), b_txt=curve(1, drift=1.01), c_txt=curve(2))
    (variant,) = found.variants
    assert len(variant.runs) == 3
    assert variant.copies == []
    assert [(r.file, r.of, r.losses, r.what) for r in variant.repeats] == [("b.txt", "a.txt", 8, "curve")]


def test_short_runs_of_a_deterministic_program_are_no_copies(folder):
    """Their clocks of a few milliseconds may agree by chance; equal bytes are one log all the same."""
    short = curve(1, drift=1e-3)
    (variant,) = folder(a_txt=short, b_txt=short + "\n", c_txt=short).variants
    assert [(c.file, c.of, c.exact) for c in variant.copies] == [("c.txt", "a.txt", True)]
    assert [(r.file, r.of, r.what) for r in variant.repeats] == [("b.txt", "a.txt", "curve")]


def test_equal_final_losses_alone_show_nothing(folder):
    (variant,) = folder(a_txt=curve(1), b_txt=curve(2), c_txt=curve(3)).variants
    assert (len(variant.runs), variant.copies, variant.repeats) == (3, [], [])


def trained_log(seed, final):
    """A log of 2024, whose first training losses a seed decides."""
    noise, later = random.Random(seed), random.Random(final)
    lines = ["step:0/125 val_loss:10.9264 train_time:0ms step_avg:nanms"]
    for step in range(1, 41):
        loss = 11 - step / 10 + (noise if step < 12 else later).gauss(0, 0.01)
        took = 216 * step + random.Random(final).randrange(9)
        lines.append(f"step:{step}/125 train_loss:{loss:.4f} train_time:{took}ms step_avg:nanms")
    lines.append(f"step:125/125 val_loss:{final:.4f} train_time:{27000 + round(1e4 * final)}ms step_avg:216.3ms")
    return HEAD + "\n".join(lines) + "\n"


def test_equal_training_losses_at_the_beginning_are_no_copy(folder):
    (variant,) = folder(a_txt=trained_log(1, 3.28), b_txt=trained_log(1, 3.29), c_txt=trained_log(2, 3.27)).variants
    assert (len(variant.runs), variant.copies) == (3, [])
    assert [(r.file, r.of, r.losses, r.what) for r in variant.repeats] == [("b.txt", "a.txt", 5, "beginning")]


def test_an_edited_copy_with_the_clock_of_another_counts_once(folder):
    whole = curve(1)
    early = whole.replace("step:125/1000 val_loss:", "step:125/1000 val_loss:1")
    (variant,) = folder(a_txt=whole, b_txt=early.replace("3.2785", "3.2740"), c_txt=curve(2)).variants
    assert [(c.file, c.of) for c in variant.copies] == [("b.txt", "a.txt")] and len(variant.runs) == 2


def test_most_losses_of_another_with_other_clocks_are_a_repeated_run(folder):
    edited = curve(1, 3.2740, drift=1.001)
    (variant,) = folder(a_txt=curve(1), b_txt=edited, c_txt=curve(2)).variants
    assert [(r.file, r.of, r.losses, r.common, r.what) for r in variant.repeats] == [("b.txt", "a.txt", 7, 8, "most")]
    assert len(variant.runs) == 3 and variant.copies == []


def test_losses_of_the_baseline_in_the_new_program(folder):
    found = folder(baseline__a_txt=curve(1, drift=1.02), this_pr__a_txt=curve(1), this_pr__b_txt=curve(2))
    assert [len(v.repeats) for v in found.variants] == [0, 1]
    assert found.variants[1].repeats[0].of == "baseline/a.txt"


def test_a_run_in_two_new_variants_counts_in_both(folder):
    found = folder(all_runs__a_txt=curve(1), all_runs__b_txt=curve(2), reported__a_txt=curve(1))
    assert [(v.name, len(v.runs), len(v.copies), len(v.shared)) for v in found.variants] == [
        ("all_runs", 2, 0, 0),
        ("reported", 1, 0, 1),
    ]


def one_loss(seed):
    """A log whose only loss comes at the end; its steps print clocks."""
    noise = random.Random(seed)
    steps = [f"step:{s}/1000 train_time:{58 * s + noise.randrange(90)}ms step_avg:58ms" for s in range(100, 1000, 100)]
    return HEAD + "\n".join([*steps, "step:1000/1000 val_loss:3.2785 train_time:58012ms step_avg:58.01ms"]) + "\n"


def test_one_equal_loss_at_one_equal_time_is_chance_unless_the_log_has_no_other_step(folder):
    (variant,) = folder(a_txt=one_loss(1), b_txt=one_loss(2)).variants
    assert (len(variant.runs), variant.copies, variant.repeats) == (2, [], [])
    (variant,) = folder(c_txt=one_loss(1).splitlines()[-1] + "\n").variants
    assert [c.file for c in variant.copies] == ["c.txt"]


def test_equal_clocks_in_whole_seconds_and_losses_of_few_digits_are_chance(folder):
    lines = [[f"step:{s}/900 train_loss:{4 - s / 900:.2f} train_time:{s // 9}s" for s in range(30, 901, 30)]] * 2
    ends = [f"step:900/900 val_loss:{loss} train_time:100s" for loss in (3.2781, 3.2795)]
    texts = ["\n".join([*steps, end]) + "\n" for steps, end in zip(lines, ends, strict=True)]
    (variant,) = folder(a_txt=texts[0], b_txt=texts[1]).variants
    assert (len(variant.runs), variant.copies, [r.what for r in variant.repeats]) == (2, [], [])


def test_links_are_not_followed(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text(curve(1))
    (tmp_path / "b.txt").write_text(curve(2))
    os.symlink(tmp_path / "b.txt", tmp_path / "in" / "b.txt")
    os.symlink(tmp_path, tmp_path / "in" / "more")
    found = read_variants(tmp_path / "in")
    assert figures(found) == {"": [3.2785]}
    assert list(found.unread) == ["b.txt", "more"]
    assert all("a link that leads out of the folder" in why for why in found.unread.values())


@pytest.mark.parametrize("name", ["README_md", "2025-08-23_record_md"])
def test_the_readme_and_what_it_states(folder, name):
    text = "# Record\n\nbaseline_losses = [3.2785, 3.2786]\naccs = [3.2771, 3.2772]\n"
    found = folder(baseline__a_txt=curve(1), this_pr__b_txt=curve(2), **{name: text})
    assert found.readme == text
    assert [(s.variant, s.values, s.at.line) for s in found.stated.losses] == [
        ("baseline", (3.2785, 3.2786), 3),
        (None, (3.2771, 3.2772), 4),
    ]
    assert found.stated.losses[0].at.file == name.replace("_md", ".md")
    assert found.sizes == {name.replace("_md", ".md"): len(text)}


def test_many_logs_and_many_runs_in_one_are_bounded(tmp_path):
    for log in range(302):
        runs = range(80) if log == 0 else range(1)
        lines = [f"step:{s}/9 val_loss:3.2{log:03}{run:02} train_time:1s" for run in runs for s in (0, 9)]
        (tmp_path / f"{log:03}.txt").write_text("\n".join(lines) + "\n")
    (variant,) = read_variants(tmp_path).variants
    assert len(variant.runs) == 64 + 299
    assert len([why for why in variant.unread.values() if "over 64 runs" in why]) == 16
    assert "302 logs" in variant.unread["300.txt"]
