"""Every command in README.md, docs/ and the pages beside them is real, with real options; what can run here is run."""

import os
import re
import shlex
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from markdown_it import MarkdownIt
from typer.core import TyperGroup

from pgolf.cli import app

REPOSITORY = Path(__file__).parents[2]
RECORDED = REPOSITORY / "tests" / "recorded" / "new"
PAGES = [*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").glob("*.md"))]
RUN = ["pack.md", "presets.md", "tracks.md"]  # whole pages; the others need hours, a server, pods or a dataset
SLOW = "<!-- takes minutes -->"
ON_A_GPU = re.compile(r"python train_gpt\.py|^torchrun ")  # with a dataset that is not here
SCHEMATIC = re.compile(r"\.\.\.|…|\[-|\[FOLDER")  # a line that shows how a command is put together


@dataclass(frozen=True)
class Block:
    """Lines of one code block; `slow` ones are read and not run."""

    page: str
    lines: tuple[str, ...]
    slow: bool

    def commands(self) -> Iterator[list[str]]:
        """Every call of pgolf in it, as a shell splits it."""
        inside = None  # of a here-document
        for line in self.lines:
            if inside:
                inside = None if line == inside else inside
                continue
            if found := re.search(r"<<'(\w+)'", line):
                inside = found[1]
            if re.match(r"([A-Z_]+=\S* )*pgolf ", line) and not SCHEMATIC.search(line):
                words = shlex.split(line, comments=True)
                words = words[words.index("pgolf") + 1 :]
                for end in ("|", "&&", "<", ">", ">>", ";"):
                    words = words[: words.index(end)] if end in words else words
                yield words


def blocks(page: Path) -> list[Block]:
    """The code blocks of a page."""
    found, slow = [], False
    for token in MarkdownIt().parse(page.read_text()):
        if token.type in ("code_block", "fence") and token.info in ("", "bash"):
            found.append(Block(page.name, tuple(token.content.splitlines()), slow))
        slow = token.type == "html_block" and token.content.strip() == SLOW
    return found


def calls() -> list[tuple[str, list[str]]]:
    return [(page.name, words) for page in PAGES for block in blocks(page) for words in block.commands()]


@pytest.mark.parametrize(("page", "words"), calls(), ids=str)
def test_command_of_the_docs_exists_with_its_options(page: str, words: list[str]) -> None:
    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="pgolf")
    while isinstance(command, TyperGroup) and words and not words[0].startswith("-"):
        _, command, words = command.resolve_command(context, words)
        assert command
        context = typer.Context(command, parent=context, info_name=command.name)
    if words not in (["--help"], ["--version"]) and not isinstance(command, TyperGroup):
        command.parse_args(context, words)  # raises what a user would be told


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)[^)]*\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the pages take for granted: a record's folder, and files of one's own."""
    entry = tmp_path / "FOLDER"
    entry.mkdir()
    for seed in (42, 314, 999):
        (entry / f"train_seed{seed}.log").write_bytes((RECORDED / str(seed) / "train.log").read_bytes())
    (entry / "submission.json").write_text('{"track": "cpu_smoke", "val_bpb": 2.79000926, "seeds": [42, 314, 999]}')
    (tmp_path / "helper.py").write_text("ANSWER = 42\n")
    (tmp_path / "their_train.py").write_text("import helper\n\nprint(helper.ANSWER)\n")
    packed = zlib.compress(b"print('theirs')\n")
    (tmp_path / "theirs.py").write_text(f"import zlib\nexec(zlib.decompress({packed!r}))\n")
    (tmp_path / "my_idea.py").write_text("from pgolf.trainer import model\n\nmodel.MLP.idea = 1\n")
    return tmp_path


@pytest.mark.record  # whole pages, with all that they pack and make
@pytest.mark.parametrize("page", RUN)
def test_commands_of_the_page_run_one_after_the_other(page: str, folder: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for block in blocks(REPOSITORY / "docs" / page):
        if block.slow or not list(block.commands()):
            continue
        script = "\n".join(line for line in block.lines if not (SCHEMATIC.search(line) or ON_A_GPU.search(line)))
        done = subprocess.run(
            ["bash", "-euc", script],
            cwd=folder,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=200,
        )
        negative = done.returncode == 1 and "pgolf audit" in script  # it is there to say what fails
        assert done.returncode == 0 or negative, f"{script}\n{done.stdout}{done.stderr}"
