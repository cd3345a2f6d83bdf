"""The site that `make docs` builds: every page is reached, no link is broken, nothing is loaded from elsewhere."""

import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer

from pgolf.cli import app

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"


def build(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Build what lies in `folder`: a zensical.toml with its docs."""
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What the site is made of, in a folder of its own, so that nothing is written into the checkout."""
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copy(REPOSITORY / "zensical.toml", tmp_path)
    return tmp_path


def test_site_builds_and_loads_nothing_from_elsewhere(copy: Path) -> None:
    done = build(copy)
    assert done.returncode == 0, done.stdout + done.stderr
    site = copy / "build" / "site"
    built = {page.stem for page in site.glob("*.html")} - {"404"}
    assert built == {page.stem for page in DOCS.glob("*.md")}
    for page in site.glob("*.html"):
        loads = re.findall(
            r"<(?:script|img|link|iframe)\b[^>]*?(?:src|href)=[\"']?(?:https?:)?//[^ >]*", page.read_text()
        )
        assert loads == [], page.name


@pytest.mark.parametrize("link", ["nowhere.md", "runpod.md#nowhere"])
def test_strict_build_refuses_a_broken_link(copy: Path, link: str) -> None:
    page = copy / "docs" / "data.md"
    page.write_text(f"{page.read_text()}\n[broken]({link})\n")
    assert build(copy).returncode != 0


def test_every_page_is_in_the_navigation_and_on_the_home_page() -> None:
    nav = (REPOSITORY / "zensical.toml").read_text()
    home = (DOCS / "index.md").read_text()
    pages = {page.name for page in DOCS.glob("*.md")}
    named = re.findall(r'"(\w+\.md)"', nav)
    assert sorted(named) == sorted(pages)
    assert set(re.findall(r"\((\w+\.md)\)", home)) == pages - {"index.md"}
    assert tomllib.loads(nav)["project"]["docs_dir"] == "docs"


def test_reference_of_the_command_line_is_what_the_commands_say() -> None:
    written = (DOCS / "cli.md").read_text()
    assert runpy.run_path(str(DOCS / "cli_reference.py"))["reference"]() == written, "run `make docs`"


def test_reference_has_every_command_and_option() -> None:
    """Whatever the generator does: no command or option may be missing, but hidden ones."""
    sections = re.split(r"^#+ (?=pgolf )", (DOCS / "cli.md").read_text(), flags=re.MULTILINE)[1:]
    by_title = {section.splitlines()[0]: section for section in sections}
    left = [("pgolf", typer.main.get_command(app))]
    while left:
        path, command = left.pop()
        left += [(f"{path} {name}", inner) for name, inner in getattr(command, "commands", {}).items()]
        if path != "pgolf" and not hasattr(command, "commands"):
            section = by_title[path]
            names = [name for parameter in command.params for name in [*parameter.opts, *parameter.secondary_opts]]
            assert [name for name in names if name not in section] == [], path
