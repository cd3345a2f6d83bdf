"""Tables and reports on a terminal and in a pipe, and progress as lines."""

import io
import os
import re
import subprocess
import sys
import time

import pytest
from rich.console import Console
from typer.testing import CliRunner

from pgolf import ledger
from pgolf.cli import app, output
from pgolf.cli.outcome import show_outcome
from pgolf.cli.output import Lines, show_report, show_table
from pgolf.record.outcome import Outcome
from pgolf.report.verdict import Verdict
from pgolf.sweep.attribution import Effect
from pgolf.sweep.report import ablation_markdown

ROWS = [("1.06107587", "2026-04-27", "a" * 50, "3"), ("1.08100288", "2026-04-09", "pr1493", "10")]


def on_a_terminal(columns: int) -> dict[str, str]:
    return {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": str(columns)}


def plain(text: str) -> list[str]:
    """The lines without colours."""
    return re.sub("\x1b\\[[0-9;]*m", "", text).splitlines()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """`show_table` on a terminal of so many columns; what it shows, in lines."""

    def make(columns: int):
        for name, value in on_a_terminal(columns).items():
            monkeypatch.setenv(name, value)

        def shown(*arguments, **keywords) -> list[str]:
            show_table(*arguments, **keywords)
            return plain(capsys.readouterr().out)

        return shown

    return make


def test_a_wide_terminal_shows_columns(terminal):
    lines = terminal(120)(ROWS, ("score", "date", "name", "n"), numbers={3})
    assert [len(line) for line in lines] == [78] * 3
    assert lines[0].split() == ["score", "date", "name", "n"] and lines[2].endswith(" 10")


@pytest.mark.parametrize("columns", [20, 40, 60, 70, 78, 79])
def test_no_width_cuts_a_cell_and_none_is_exceeded(terminal, columns):
    lines = terminal(columns)(ROWS, ("score", "date", "name", "n"))
    assert all(len(line) <= columns and line == line.rstrip() for line in lines)
    assert any(line.startswith("1.06107587") for line in lines) and "".join("".join(lines).split()).count("a" * 50) == 1
    assert not any("…" in line for line in lines)


def test_the_last_column_is_folded_below_itself(terminal):
    lines = terminal(40)([("on a pod first", "pip install " + "numpy " * 12)])
    assert len(lines) > 2 and all(line.startswith(" " * 16) for line in lines[1:])


def test_words_of_strangers_are_no_markup_and_every_width_is_counted_in_columns(terminal):
    lines = terminal(60)([("[red]x[/red]", "漢字", "end"), ("y", "ab", "end")])
    assert lines == ["[red]x[/red]  漢字  end", "y             ab    end"]


def test_in_a_pipe_a_row_is_one_line(capsys):
    show_table(ROWS, ("score", "date", "name", "n"))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [list(row) for row in ROWS]
    assert lines[0].index("3") > 60 and not any(line.endswith(" ") for line in lines)
    show_table([])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("positive", [True, False])
def test_a_record_says_what_comes_next_with_its_folder(positive, tmp_path, capsys):
    verdict = Verdict(positive, None, (), () if positive else ("too late",))
    scores = ledger.load("cpu_smoke-base").seeds
    code = show_outcome(Outcome("r", tmp_path, scores, verdict, tmp_path / "my folder"), as_json=False)
    said, folder = capsys.readouterr().out, f"'{tmp_path}/my folder'"
    assert code == (not positive)
    assert (f"next: pgolf audit --draft {folder}, then pgolf submit {folder} --repo CLONE\n" in said) == positive


def test_the_ledger_is_listed_whole_at_60_columns():
    piped = CliRunner().invoke(app, ["ledger", "list"]).output.splitlines()
    (lora,) = (line for line in piped if " 2026-03-17_LoRA_TTT " in line)
    assert "4 runs of 1 seed " in lora and "not admitted: 1 seed, fewer than 3" in lora
    assert len(piped) == len(ledger.names()) and all(line[1] == "." for line in piped)
    narrow = plain(CliRunner().invoke(app, ["ledger", "list"], env=on_a_terminal(60)).output)
    assert all(name in "".join("".join(narrow).split()) for name in ledger.names())
    (lora,) = (line for line in narrow if line.endswith(" 2026-03-17_LoRA_TTT"))
    assert lora.split()[2] == "1"
    assert max(map(len, narrow)) <= 60


EFFECTS = [Effect(f"TTT_EPOCHS={i}", 0.0015, (0.001, 0.002), (-0.02, 0.023), 2) for i in (3, 10)]


def test_a_report_is_a_table_without_marks(capsys):
    text = ablation_markdown("smoke-base", "smoke", [1, 2], EFFECTS)
    show_report(text)
    piped = capsys.readouterr().out.splitlines()
    assert not any(line.startswith(("|", "#")) or "`" in line for line in piped)
    assert piped[0] == "From smoke-base to smoke: which change brought what"
    assert [line.split()[0] for line in piped[-2:]] == ["TTT_EPOCHS=3", "TTT_EPOCHS=10"]
    assert "+0.001500" in piped[-1] and piped[-3].split()[0] == "change"


def test_progress_in_a_pipe_is_a_line_now_and_then_with_an_estimate(capsys):
    now = 0.0
    tell = Lines(lambda: now)
    for done in range(0, 101, 10):
        tell("parsing", done, 100)
        now += 2
    tell("training the tokenizer", 0, 1)
    tell("tokenizing", 8, 8)
    said = [line for line in capsys.readouterr().err.splitlines() if line]
    assert said == [
        "parsing: 30 of 100, about 14 s left",
        "parsing: 60 of 100, about 8 s left",
        "parsing: 90 of 100, about 2 s left",
        "training the tokenizer",
    ]


def test_time_left_of_one_stage_of_several_is_told_as_the_least(monkeypatch, capsys):
    now = 0.0
    tell = Lines(lambda: now, in_stages=True)
    tell("training", 0, 100)
    now = 10.0
    tell("training", 50, 100)
    assert "training: 50 of 100, at least 10 s left" in capsys.readouterr().err.splitlines()
    screen = Console(file=io.StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr(output, "stderr", screen)
    for in_stages in (True, False):
        screen.file = io.StringIO()
        with output.progress_bar("seed 42", in_stages) as tell_bar:
            tell_bar("seed 42: training", 0, 1000)
            time.sleep(0.02)
            tell_bar("seed 42: training", 1, 1000)
            tell_bar("seed 42: training", 2, 1000)
        shown = "\n".join(plain(screen.file.getvalue()))
        assert bool(re.search(r"\d+:\d\d left of this stage", shown)) == in_stages
        assert bool(re.search(r" 0:\d\d:\d\d", shown)) != in_stages


def test_a_bar_shows_words_of_strangers_as_they_are(monkeypatch):
    screen = Console(file=io.StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr(output, "stderr", screen)
    with output.progress_bar("[b]starting") as tell:
        tell("[b]scoring", 1, 2)
    assert "[b]scoring" in "".join(plain(screen.file.getvalue()))


def test_figures_of_a_description_are_grouped():
    shown = CliRunner().invoke(app, ["train", "--preset", "smoke", "--describe"]).output
    assert re.search(r"^parameters +\d{1,3}(,\d{3})+$", shown, re.M) and "{" not in shown and "_" not in shown


STANDS = [
    ("finished", "s1", "3 of 3", "no record: the gain does not clear the bar of the track"),
    ("stopped", "sweep-cpu_smoke-smoke-f5fbaf15-1337", "", "gone"),
]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_cells_lie_below_their_headings(terminal, columns):
    headings, *lines = terminal(columns)(STANDS, ("state", "record", "runs", "where it stands"))
    for heading, cells in (("state", ("finished", "stopped")), ("record", ("s1", "sweep-")), ("runs", ("3 of 3",))):
        places = {line.index(cell) for cell in cells for line in lines if cell in line}
        assert places == {headings.index(heading)}
    last = next(line for line in (headings, *lines) if "where it stands" in line)
    assert {line.index(word) for word in ("no record", "gone") for line in lines if word in line} == {
        last.index("where it stands")
    }


@pytest.mark.parametrize("columns", [40, 60, 120])
def test_a_word_is_broken_only_where_no_line_can_hold_it(terminal, columns):
    words = ["a/folder/of/a_record", "that", "lies", "train-plus-calibration-seconds", "elsewhere", "x" * 200]
    rows = [("a column of its own", "and another", " ".join(words)), ("b", "c", "short")]
    shown = " ".join(terminal(columns)(rows)).split()
    assert shown.count("short") == 1 and all(word in shown for word in words[:-1])


@pytest.mark.parametrize("columns", [40, 60])
def test_a_message_is_folded_between_words_and_what_is_copied_stays_whole(columns, tmp_path):
    path = tmp_path / ("deep/" * 20) / "nowhere"
    command = [sys.executable, "-c", "from pgolf.cli import main; main()", "audit", str(path)]
    for env, most in ((on_a_terminal(columns), columns), ({}, 1)):
        done = subprocess.run(command, env=os.environ | env, capture_output=True, text=True)
        lines = plain(done.stderr)
        assert done.returncode == 2 and str(path) in done.stderr and done.stderr.split()[-1] == "logs"
        assert all(len(line) <= most or str(path) in line for line in lines) if env else len(lines) == 1


def test_the_text_of_a_report_is_folded_between_words(monkeypatch, capsys):
    for name, value in on_a_terminal(60).items():
        monkeypatch.setenv(name, value)
    show_report(ablation_markdown("smoke-base", "smoke", [1, 2], EFFECTS))
    lines = plain(capsys.readouterr().out)
    assert all(len(line) <= 60 for line in lines)
    assert "Gains in bpb over seeds 1, 2: smoke-base minus" in lines[2]
