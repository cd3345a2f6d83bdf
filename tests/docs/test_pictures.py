"""The pictures of docs/images say what the code says today of the record that they were drawn from.

Beside each picture lie the words in it; no pixels are compared, since fonts differ from machine to machine.
"""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from pgolf.audit.audit import Audit, audit

DOCS = Path(__file__).parents[2] / "docs"
IMAGES = DOCS / "images"
AGAIN = "the pictures are old: run `make pictures`, and look at them"


@pytest.fixture(scope="module")
def pictures() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "pictures.py"))


@pytest.fixture(scope="module")
def found(pictures: dict[str, Any]) -> Audit:
    """The record that is in them."""
    audited = audit(pictures["RECORD"], against="cpu_smoke-base")
    assert isinstance(audited, Audit)
    return audited


@pytest.fixture(scope="module")
def today(pictures: dict[str, Any], found: Audit) -> dict[str, str]:
    return {pictures["path_of"](name).name: text for name, text in pictures["words"](found).items()}


NAMES = [
    "archive.txt",
    "live.txt",
    "loss_curves.txt",
    "prefect-run.txt",
    "prefect-verdict.txt",
    "report.txt",
    "stages.txt",
]


@pytest.mark.parametrize("name", NAMES)
def test_words_are_todays(today: dict[str, str], name: str) -> None:
    assert today[name].splitlines() == (IMAGES / name).read_text().splitlines(), AGAIN


def test_every_picture_has_its_words_and_its_place(today: dict[str, str]) -> None:
    texts = {path.name for path in IMAGES.glob("*.txt")}
    assert texts == today.keys()
    named = {path.with_suffix(".txt").name.replace("report-dark", "report") for path in IMAGES.glob("*.*[gG]")}
    assert named == texts
    pages = "".join(path.read_text() for path in (DOCS.parent / "README.md", *DOCS.glob("*.md")))
    assert {path.name for path in IMAGES.glob("*.*[gG]")} == set(re.findall(r"images/([\w-]+\.(?:png|svg))", pages))


def test_svg_says_what_its_words_say(today: dict[str, str]) -> None:
    drawn = re.sub(r"<style>.*?</style>|<defs>.*?</defs>|<[^>]*>", "", (IMAGES / "live.svg").read_text(), flags=re.S)
    words = re.findall(r"[a-z]{3,}", today["live.txt"])
    assert words and [word for word in words if word not in drawn] == []


def test_no_word_of_this_machine_is_in_them(pictures: dict[str, Any]) -> None:
    """A record is kept without the folders of the machine that made it."""
    for path in pictures["RECORD"].iterdir():
        assert not re.search(rb"[\s\"'](/[\w.-]+)+/data/", path.read_bytes()), path.name


def test_record_of_the_pictures_has_no_failing_check(found: Audit) -> None:
    assert not found.failed and found.comparison and found.comparison.clears


def test_another_record_takes_its_place(pictures: dict[str, Any], tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for name in ("train_seed1.log", "submission.json", "report.html"):
        (theirs / name).write_text('data_dir: /home/me/data/pydocs "/home/me/data/x" other/data/y\n')
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "old.log").touch()
    pictures["keep"](theirs, tmp_path / "kept")
    assert {p.name for p in (tmp_path / "kept").iterdir()} == {"train_seed1.log", "submission.json"}
    text = (tmp_path / "kept" / "train_seed1.log").read_text()
    assert text == 'data_dir: data/pydocs "data/x" other/data/y\n'
