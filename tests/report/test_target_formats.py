"""What `pgolf audit` says of a speedrun: the figures that reviewers compute by hand, in every format and width."""

import json
import re
import statistics
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from rich.console import Console
from scipy import stats as scipy_stats
from speedruns import BASELINE, NEW, write_speedrun

from pgolf import tracks
from pgolf.audit.target import audit_target
from pgolf.report.draft import draft_markdown, draft_text
from pgolf.report.formats import SPEEDRUN_HEAD, Summary, Terminal, Writer, show
from pgolf.report.target_review import target_markdown
from pgolf.report.target_rows import remarks, run_rows, variant_rows
from pgolf.stats.comparison import format_p

SHORT, STEPS = tracks.load("nanogpt_short"), tracks.load("nanogpt_optimization")


@pytest.fixture
def folder(tmp_path):
    return write_speedrun(tmp_path / "2026-07-17_Mine")


@pytest.fixture
def records():
    path = Path(__file__).parents[3] / "shared" / "speedrun-records"
    if not path.is_dir():
        pytest.skip("the public speedrun records are not here")
    return path


def text_of(audit, width=80, draft=False):
    return show("text", Terminal(width), False, draft, audit).text


def row_of(text, name, after):
    """The cells of a variant's row in the table that has `after` in its title."""
    rest = text[text.index(after) :]
    line = next(line for line in rest.splitlines() if line.split()[:1] == [name])
    return line.split()


def test_figures_are_those_that_one_computes_by_hand(folder):
    (baseline, new) = variant_rows(audit_target(folder, SHORT))
    losses, times, base = ([x for x, _ in NEW], [s for _, s in NEW], [s for _, s in BASELINE])
    assert (new.name, new.runs, new.steps) == ("this_pr", "5", "1400")
    assert new.loss == f"{statistics.mean(losses):.5f}" and new.loss_std == f"{statistics.stdev(losses):.5f}"
    assert new.loss_gap == f"{3.28 - statistics.mean(losses):+.5f}"
    assert new.seconds == f"{statistics.mean(times):.3f}" and new.seconds_std == f"{statistics.stdev(times):.3f}"
    assert new.seconds_gain == f"{statistics.mean(base) - statistics.mean(times):+.3f}"
    assert new.loss_p == format_p(scipy_stats.ttest_1samp(losses, 3.28, alternative="less").pvalue)
    assert new.seconds_p == format_p(scipy_stats.ttest_ind(times, base, equal_var=False, alternative="less").pvalue)
    assert baseline.baseline and baseline.seconds_gain == baseline.seconds_p == ""


def test_narrow_terminal_cuts_no_figure(folder):
    audit = audit_target(folder, SHORT)
    text, rows = text_of(audit, 40), variant_rows(audit)
    assert "…" not in text and max(map(len, text.splitlines()[1:])) <= 40
    for row in rows:
        figures = row.seconds, row.seconds_std, row.seconds_gain, row.seconds_p, row.loss, row.loss_gap, row.loss_p
        assert all(figure in text for figure in figures)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_figures_are_whole_at_every_width(folder, width):
    audit = audit_target(folder, SHORT)
    text, (_, new) = text_of(audit, width), variant_rows(audit)
    assert row_of(text, "this_pr", "training time") == [
        *(new.name, new.runs, new.steps, new.seconds, new.seconds_std, new.seconds_gain, new.seconds_p)
    ]
    assert row_of(text, "this_pr", "validation loss") == [*(new.name, new.loss, new.loss_std, new.loss_gap, new.loss_p)]
    for row in run_rows(audit, audit.variants[1]):
        line = next(line for line in text.splitlines() if line.startswith(row.log.removesuffix(".txt")))
        assert line.split()[1:] == [row.loss, row.step, row.seconds]
    assert max(map(len, text.splitlines()[1:])) <= width  # but for the path, which is to be copied in one piece


def test_digits_that_are_printed_bound_what_p_can_be(folder):
    audit = audit_target(folder, SHORT)
    low, high = audit.variants[1].loss.p_range
    said = f"(printed digits: {format_p(low)} to {format_p(high)})"
    assert said in " ".join(text_of(audit).split()) and said in target_markdown(audit)


def test_undecided_test_is_said_with_the_runs_that_would_settle_it(tmp_path):
    folder = write_speedrun(tmp_path / "2026-07-17_Few", {"this_pr": NEW[:4], "baseline": BASELINE})
    audit = audit_target(folder, SHORT)
    needed = audit.variants[1].runs_to_settle
    assert audit.variants[1].loss.p > 0.01 and needed > 4
    (sentence,) = [s for s in remarks(audit) if "would show" in s and s.startswith("this_pr")]
    assert re.search(rf"\b{needed} runs would show .*it has 4$", sentence)
    assert sentence in " ".join(text_of(audit, 400).split())


def test_track_of_steps_counts_no_time(tmp_path):
    write_speedrun(tmp_path / "one", {"baseline": BASELINE}, steps=1600)
    folder = write_speedrun(tmp_path / "one", {"this_pr": NEW}, steps=1400)
    audit = audit_target(folder, STEPS)
    assert row_of(text_of(audit), "this_pr", "steps; time does not count")[:4] == ["this_pr", "5", "1400", "+200"]
    assert "p faster" not in target_markdown(audit) and "| 5 | 1400 | +200 |" in target_markdown(audit)


def test_runs_that_do_not_count_are_shown_as_such(folder):
    log = sorted((folder / "this_pr").iterdir())[0]
    log.write_text(log.read_text().replace("step:1400/1400 val_loss", "step:1400/1400 train_loss"))
    audit = audit_target(folder, SHORT)
    assert variant_rows(audit)[1].runs == "4 of 5"
    assert [row.counts for row in run_rows(audit, audit.variants[1])].count(False) == 1
    assert "(does not count)" in text_of(audit, 120) and "(does not count)" in target_markdown(audit)


def test_without_a_baseline_no_column_is_empty(tmp_path):
    audit = audit_target(write_speedrun(tmp_path / "2026-07-17_Alone", {"": NEW}), SHORT)
    text = text_of(audit)
    tables = text.split("check")[0].partition("\n")[2]  # without the path
    assert "baseline" not in tables and "| gain |" not in target_markdown(audit)
    assert re.search(r"^the record +5 +1400 +79\.724 +0\.291$", text.replace(" \n", "\n"), re.MULTILINE)


def test_equal_losses_have_no_p_but_what_their_digits_allow(tmp_path):
    folder = write_speedrun(tmp_path / "2026-07-17_Equal", {"": [(3.2781, 79.0 + n / 10) for n in range(4)]})
    audit = audit_target(folder, SHORT)
    (row,) = variant_rows(audit)
    assert row.loss_p == "" and " to " in row.p_range
    assert f"p against 3.28 is unknown, for all losses are equal (printed digits: {row.p_range})" in target_markdown(
        audit
    )


def test_baseline_from_elsewhere_is_named_by_its_folder(tmp_path):
    other = write_speedrun(tmp_path / "2026-07-02_Last", {"": BASELINE})
    audit = audit_target(write_speedrun(tmp_path / "2026-07-17_Mine", {"": NEW}), SHORT, against=other)
    baseline, new = variant_rows(audit)
    assert (baseline.name, baseline.baseline, new.name) == ("2026-07-02_Last", True, "the record")
    assert new.seconds_gain == "+1.003" and "| `2026-07-02_Last` (baseline) | 5 |" in target_markdown(audit)


def test_figures_of_a_real_record(records):
    """As its reviewers published them."""
    text = text_of(audit_target(records / "track_1_short/2026-07-17_FP8DownProjection", SHORT))
    assert row_of(text, "this_pr", "training time")[1:5] == ["13", "1390", "79.685", "0.183"]
    assert row_of(text, "this_pr", "validation loss")[1:] == ["3.27837", "0.00142", "+0.00163", "6.691e-04"]


def test_checks_that_do_not_apply_take_one_line(folder):
    audit = audit_target(folder, SHORT)
    names = [c.id for c in audit.checks if c.status == "does not apply"]
    text = text_of(audit, 2000)
    (line,) = [line for line in text.splitlines() if "does not apply" in line]
    assert names and all(name in line for name in names)
    assert not any(re.search(rf"^ *{name} ", text, re.MULTILINE) for name in names)


def test_every_format_has_it(folder):
    audit = audit_target(folder, SHORT)
    shown = show("github", Terminal(), False, False, audit)
    assert "this_pr" in shown.row and "3.27814" in shown.row and shown.head == SPEEDRUN_HEAD
    assert json.loads(show("json", Terminal(), False, False, audit).text)["variants"][1]["n"] == 5
    draft = show("markdown", Terminal(), False, True, audit).text
    assert "before submitting" in draft and "printed digits" in draft
    assert "before submitting" in text_of(audit, draft=True)


def test_summary_has_a_table_for_each_kind_of_record(folder, tmp_path):
    other = write_speedrun(tmp_path / "2026-07-18_Other")
    summary = Summary()
    for path in (folder, other):
        summary.add(show("github", Terminal(), False, False, audit_target(path, SHORT)))
    text = summary.text("2 records", [])
    assert text.count(SPEEDRUN_HEAD) == 1 and "bpb" not in text.split("###")[0]
    (table,) = re.findall(r"<table>.*?</table>", MarkdownIt().enable("table").render(text.split("###")[0]), re.S)
    assert table.count("<tr>") == 3


EVIL = "x`|<b>@all\x1b[2J[a](http://b) ::error::"


def test_words_of_strangers_are_shown_and_not_obeyed(tmp_path):
    evil = EVIL.replace("/", "\u2215")
    folder = write_speedrun(tmp_path / evil, {"baseline": BASELINE, evil: NEW})
    (folder / "README.md").write_text("Losses: [3.2775, 3.2779, 9.9]\n" + EVIL)
    audit = audit_target(folder, SHORT)
    for format in ("text", "markdown", "github", "json"):
        for draft in (False, True) if format in ("text", "markdown") else (False,):
            shown = show(format, Terminal(), False, draft, audit)
            assert "\x1b" not in shown.text + shown.row + shown.section
            for markdown in (shown.row, shown.section, shown.text if format == "markdown" else ""):
                html = MarkdownIt().enable("table").render(SPEEDRUN_HEAD * bool(shown.row == markdown) + markdown)
                assert "<b>" not in html and "<a " not in html and "@all" not in re.sub("<code>.*?</code>", "", html)
            if format == "github":
                assert all(line.startswith("::") for line in shown.text.splitlines())
                assert not re.search(r"^.+::error::", shown.text, re.MULTILINE) or "%3A%3A" in shown.text


def test_writer_counts_speedruns(folder):
    out = []
    writer = Writer("text", out.append)
    writer.add(show("text", Terminal(), True, False, audit_target(folder, SHORT)))
    assert writer.said().startswith("1 record audited") and writer.audits[0].track is SHORT


def test_draft_tells_what_to_do(folder):
    for log in sorted((folder / "this_pr").iterdir())[3:]:
        log.unlink()
    audit = audit_target(folder, SHORT)
    console = Console(width=100)
    with console.capture() as capture:
        console.print(draft_text(audit))
    assert "→" in capture.get() and "**To do:**" in draft_markdown(audit)
