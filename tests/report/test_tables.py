"""What is said of a record in a table, a page of Prefect's UI, and a line in a chat."""

import html
import re
from dataclasses import replace
from pathlib import Path

import pytest

from pgolf import tracks
from pgolf.audit.measures import measures_of
from pgolf.evidence.logs import read_run
from pgolf.ledger import SeedScore, StageScore, load, seed_score
from pgolf.report.tables import seed_news, seed_rows, seed_table, verdict_line, verdict_markdown, verdict_news
from pgolf.report.verdict import Verdict
from pgolf.stats.comparison import compare

RECORDED = Path(__file__).parents[1] / "recorded"


def verdict(*reasons: str) -> Verdict:
    comparison = compare(load("pr1736").sample(), load("pr1493").sample())
    return Verdict(not reasons, comparison, (), reasons)


def test_markdown_holds_the_seeds_the_comparison_and_the_files(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("")
    text = verdict_markdown(verdict(), load("pr1736").seeds, tmp_path)
    assert text.startswith("# A record\n")
    rows = [line for line in text.splitlines() if re.match(r"\| \d+ \|", line)]
    assert [row.split(" | ")[0] for row in rows] == ["| 0", "| 42", "| 1234"]
    assert all(f"{s.val_bpb:.5f}" in row for s, row in zip(load("pr1736").seeds, rows, strict=True))
    plain = re.sub(r"\\(?=[_~|*])", "", html.unescape(text))
    for name, value in compare(load("pr1736").sample(), load("pr1493").sample()).rows():
        assert f"| {name} | {value} |" in plain
    assert "- `report.html`" in text and f"In `{tmp_path}`:" in text
    assert "](" not in text  # a browser opens no file from a server's page


def test_markdown_shows_reasons_as_they_are(tmp_path: Path) -> None:
    text = verdict_markdown(verdict("<script>alert(1)</script> | [x](javascript:y)"), load("pr1736").seeds, tmp_path)
    assert text.startswith("# No record\n")
    assert "<script>" not in text and "](javascript" not in text.replace("\\]", "")


@pytest.mark.parametrize("width", [60, 120])
def test_table_ends_with_the_mean_of_every_stage(width: int) -> None:
    lines = [line.plain for line in seed_table(load("pr1493").seeds).lines(width)]
    assert max(map(len, lines)) <= width
    assert lines[1].split()[:2] == ["seed", "val_bpb"]  # the score first
    last = " ".join(lines[next(i for i, line in enumerate(lines) if line.lstrip().startswith("mean")) :]).split()
    assert last == ["mean", "1.08100", "1.08766", "1.09949", "1.08274", "1.08100"]  # the second one is the claimed


def test_news_of_a_seed_names_the_limits_that_it_misses() -> None:
    run = read_run(RECORDED / "new" / "42" / "train.log")
    track = tracks.load("cpu_smoke")
    score = seed_score(run)
    assert seed_news(score, measures_of(run, track.limits)) == f"seed 42 is done: val_bpb {score.val_bpb:.5f}"
    tight = replace(track, limits=replace(track.limits, artifact_bytes=1000))
    assert "LIMIT MISSED: code and model" in seed_news(score, measures_of(run, tight.limits))


def test_news_of_the_verdict_says_why_not() -> None:
    assert verdict_news(verdict(), load("pr1736").seeds).startswith(
        "A RECORD: val_bpb 1.06549 over 3 seeds, gain over pr1493 +0.01552 bpb, clears"
    )
    assert verdict_news(verdict("too late"), load("pr1736").seeds).endswith("\n- too late")
    line = verdict_line(verdict("too late"), load("pr1736").seeds)
    assert line.startswith("no record: too late; val_bpb 1.06549 over 3 seeds, gain over pr1493")
    weak = replace(verdict(), reasons=(verdict().comparison.verdict,))  # it is in the line once
    assert verdict_line(weak, load("pr1736").seeds) == verdict_news(weak, load("pr1736").seeds).split("\n")[0]


def test_final_score_of_a_stage_without_a_column_is_shown() -> None:
    (row,) = seed_rows([SeedScore(42, 1.25, None, (StageScore("submission", "other", None, 1.25, None),))])
    assert row["val_bpb"] == "1.25000"
