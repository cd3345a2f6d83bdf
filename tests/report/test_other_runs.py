"""Runs that a record does not claim are shown with their values, apart from its seeds; so is a track without limits."""

import re

import pytest
from good_entry import BPB, Folder, log_text
from pages import Reader
from typer.testing import CliRunner

from pgolf.cli import app

RERUN = "train_seed7_<b>.log"


@pytest.fixture
def folder(tmp_path):
    """A record of three seeds, and the run of a fourth that it does not claim."""
    f = Folder(tmp_path / "2026-04-25_A_Record")
    f.write()
    losses = (12.1, 11.2, 9.3, 8.4)
    text = log_text(42, 1.06543210, losses).replace("seed: 42", "seed: 7").replace("45420ms", "45407ms")
    (f.path / RERUN).write_text(text)
    return f


def printed(*arguments: object) -> str:
    return CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "160"}).stdout


def test_they_are_on_the_page_and_count_for_nothing(folder, tmp_path):
    printed("report", folder.path, "-o", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    part = text.partition("Other runs in the folder</h3>")[2].partition("</section>")[0]
    (row,) = re.findall(r"<tr><th scope=\"row\".*?</tr>", part)
    assert Reader(row).words().split()[:4] == ["train_seed7_<b>.log", "7", "quantized_ttt", "1.06543210"]
    assert "b" not in {tag for tag, _ in Reader(row).tags}
    mean = sum(BPB.values()) / 3
    assert f"{mean:.8f}" in text
    assert "1.06543210" not in text.partition("Other runs in the folder</h3>")[0]


def test_they_are_in_the_text_and_in_markdown(folder):
    text = printed("audit", folder.path)
    assert text.index("999") < text.index("other runs in the folder") < text.index(RERUN)
    table = printed("audit", folder.path, "--format", "markdown").partition("Other runs in the folder")[2]
    assert table.splitlines()[4].startswith(f"| `{RERUN}` | 7 | 1.06543210 | ")
    (folder.path / RERUN).unlink()
    assert "ther runs" not in printed("audit", folder.path) + printed("audit", folder.path, "--format", "markdown")


@pytest.mark.parametrize(("track", "limits"), [("non_record_16mb", 3), ("somebody's own", 4)])
def test_a_track_without_limits_says_so(folder, tmp_path, track, limits):
    folder.claim(track=track)
    printed("report", folder.path, "-o", tmp_path / "page.html")
    printed("archive", tmp_path, "--html", tmp_path / "board.html")
    page, board = (tmp_path / "page.html").read_text(), (tmp_path / "board.html").read_text()
    assert page.count(">no limit<") == limits
    for text in (page, board):
        words = Reader(text).words()
        assert not re.search(r"\binf\b|922,?337", words)
