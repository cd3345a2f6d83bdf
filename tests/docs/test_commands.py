"""Every command in README.md, docs/ and the pages beside them is real, with real options; what can run here is run."""

import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import good_entry
import good_speedrun
import pytest
import typer
from markdown_it import MarkdownIt
from seconds import Made
from typer.core import TyperGroup
from typer.testing import CliRunner

from pgolf.cli import app
from pgolf.data.dataset import Dataset
from pgolf.record.sealed_job import why_not_sealable

PROGRAMS = Path(__file__).parents[1] / "programs"
REPOSITORY = Path(__file__).parents[2]
RECORDED = REPOSITORY / "tests" / "recorded" / "new"
PAGES = [*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").glob("*.md"))]
RUN = ["pack.md", "presets.md", "tracks.md"]  # whole pages, line by line as a shell runs them
OWN_TESTS = [*RUN, "data.md", "programs.md", "CONTRIBUTING.md"]  # these are walked through elsewhere, or need minutes
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


# --- what every day brings: the commands of all pages, on the record that the tests make
NOT_HERE = {  # the beginning of a command line: why it is read, and not run
    r"record (?!.*--plan)": "makes a record: minutes",
    r"train (?!.*--(describe|diff))": "trains for minutes",
    r"(sweep|ablate|fit|probe) ": "trains or scores for minutes",
    r"eval .*EPOCHS=5": "adapts for long",
    r"data (fineweb|upload|source|pydocs|train-tokenizer|tokenize|document-start) ": "needs a hub, or a corpus",
    r"draft a.log ": "drafts the same logs again",
    r"draft my_runs": "needs runs of two sides; tests/report/test_runs_from_logs.py drafts real ones",
    r"(watch|stop) ": "needs a record that runs",
    r"pods ": "asks an account for its machines",
    r"pack .*zstandard": "needs a package",
    r"reproduce (?!.*--yes)": "asks whether it may run",
}
NEGATIVE = ("audit", "archive", "doctor", "program")  # are there to say what fails: exit 1
TRACK = "track_10min_16mb"
NAMES = ("SEED", "DATA_PATH", "ITERATIONS", "TTT_EPOCHS")
PROGRAM = f"import os\n{', '.join(NAMES)} = (os.environ[name] for name in {NAMES})\nprint(f'val_bpb:{{SEED}}')\n"


@pytest.fixture(scope="module")
def daily(made: Made, tiny_data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to work in as the pages have it: the tests' record where `pgolf record` leaves it, its dataset where it
    makes one, and others' records and programs."""
    work = tmp_path_factory.mktemp("daily")
    shutil.copytree(made.folder, work / "runs" / made.folder.name)
    (submission,) = (work / "runs").glob("*/records/*/*")
    (work / "FOLDER").symlink_to(submission)
    (work / "OTHER").mkdir()
    for log in made.folder.glob("baseline/*/attempt-1/train.log"):
        shutil.copy(log, work / "OTHER" / f"train_seed{log.parents[1].name}.log")
    (work / "data").mkdir()
    (work / "data" / tiny_data.data_dir.name).symlink_to(tiny_data.data_dir)
    (artifact,) = made.folder.glob("seeds/42/attempt-1/final_model.int6.ptz")
    (work / "final_model.int6.ptz").symlink_to(artifact)
    for name in ("mine", "theirs"):
        (work / name).mkdir()
    (work / "mine" / "train_gpt.py").write_text(PROGRAM)
    shutil.copy(PROGRAMS / "speedrun.py", work / "theirs" / "train_gpt.py")
    for name in ("2026-04-09_mine", "2026-04-25_Mine", f"{TRACK}/2026-04-25_Something", f"{TRACK}/2026-04-09_Theirs"):
        good_entry.Folder(work / "records" / name).write()
    for log in (work / "records" / TRACK / "2026-04-25_Something").glob("*.log"):
        shutil.copy(log, work)
        shutil.copy(log, work / f"{log.stem.removeprefix('train_')}.txt")
    (work / "tests").symlink_to(REPOSITORY / "tests")
    archive = work / "parameter-golf"
    for track in (submission.parent.name, "cpu_smoke", TRACK):
        (archive / "records" / track / "2026-03-17_Old").mkdir(parents=True)
        (archive / "records" / track / "2026-03-17_Old" / "README.md").touch()
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@b.c", "-C", str(archive)]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "Old"], ["config", "user.name", "A"]):
        subprocess.run([*git, *words], check=True)
    subprocess.run([*git, "config", "user.email", "a@b.c"], check=True)
    (work / "CLONE").symlink_to(archive)
    wrapped = f"import zlib\nexec(zlib.decompress({zlib.compress(PROGRAM.encode())!r}))\n"
    (work / "records" / TRACK / "2026-04-09_Theirs" / "train_gpt.py").write_text(wrapped)
    for name in ("A", "B", "2026-07-17_FP8DownProjection"):
        good_speedrun.Folder(work / "records" / "track_1_short" / name).write()
    good_speedrun.Folder(work / "track_1_short" / "2026-08-01_Example").write()
    for name, losses in (("my_runs", good_speedrun.NEW), ("runs_of_the_standing_record", good_speedrun.BASELINE)):
        good_speedrun.Folder(work / name, {"": losses}).write()
    return work


def every_day() -> dict[str, list[list[str]]]:
    """The commands of each page that can run in `daily`, in order, each once."""
    found: dict[str, list[list[str]]] = {}
    known = [words for page, words in calls() if page in OWN_TESTS]
    for page, words in calls():
        line = " ".join([*words, ""])
        if words not in known and not any(re.match(pattern, line) for pattern in NOT_HERE):
            known.append(words)
            found.setdefault(page, []).append(words)
    return found


@pytest.mark.parametrize("page", every_day())
def test_commands_of_the_page_run_on_a_record(page: str, daily: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(daily)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    for words in every_day()[page]:
        if words[0] == "reproduce" and why_not_sealable():
            continue
        given = [path for word in words for path in (sorted(glob.glob(word)) if "*" in word else [word])]
        done = CliRunner().invoke(app, given)
        assert not done.exception or isinstance(done.exception, SystemExit), f"{words}: {done.exception!r}"
        assert done.exit_code == 0 or (done.exit_code == 1 and words[0] in NEGATIVE), f"{words}: {done.output}"
        if words[0] == "reproduce":
            assert "equal to the logged score; inside the 95 % range" in done.output
