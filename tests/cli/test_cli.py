"""The command line itself: help that can be read and copied from, and ends that are a line and an exit code."""

import errno
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from good_entry import Folder
from typer.core import TyperArgument, TyperCommand, TyperGroup
from typer.testing import CliRunner

from pgolf.cli import app, main
from pgolf.errors import BadInput


def commands(
    group: TyperGroup, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], TyperCommand | TyperGroup]]:
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, TyperGroup):
            yield from commands(command, (*path, name))


ROOT = typer.main.get_command(app)
COMMANDS = dict(commands(ROOT))


def test_commands_of_groups_are_among_those_that_are_tested_here():
    assert ("data", "caseops", "encode") in COMMANDS and ("pods", "reap") in COMMANDS


def test_every_command_is_listed_with_its_whole_first_sentence():
    for path in [(), *(path for path, command in COMMANDS.items() if isinstance(command, TyperGroup))]:
        listed = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "80"}).output.partition("Commands:")[2]
        assert listed and "..." not in listed, path


def test_help_loses_nothing_to_markup():
    text = CliRunner().invoke(app, ["sweep", "--help"]).output
    assert "[grid]" in text and "[[candidates]]" in text and "Exit 0" in text


@pytest.mark.parametrize("path", [p for p, command in COMMANDS.items() if command.epilog], ids=" ".join)
def test_examples_of_the_help_are_commands(path):
    examples = [line.strip() for line in COMMANDS[path].epilog.splitlines() if line.startswith("  ")]
    assert examples
    for example in examples:
        words = shlex.split(example)
        assert tuple(words[: len(path) + 1]) == ("pgolf", *path)
        COMMANDS[path].parse_args(typer.Context(COMMANDS[path]), words[len(path) + 1 :])


PATHS = [
    (path, param)
    for path, command in COMMANDS.items()
    if not isinstance(command, TyperGroup)
    for param in command.params
    if not getattr(param, "is_flag", False) and param.default != ""
]


@pytest.mark.parametrize(("path", "param"), PATHS, ids=lambda x: x if isinstance(x, str) else getattr(x, "name", None))
def test_an_empty_word_is_no_folder(path, param, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    arguments = [p for p in COMMANDS[path].params if isinstance(p, TyperArgument)]
    words = [*path, *("" if p is param else "1" for p in arguments)]
    words += [] if isinstance(param, TyperArgument) else [param.opts[0], *[""] * param.nargs]
    ended = CliRunner().invoke(app, words)
    assert isinstance(ended.exception, BadInput) and " is empty; name one" in str(ended.exception), ended.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--describe", "--preset", "gone.toml"),
        ("train", "--describe", "--preset", "other.toml"),
        ("audit", ".", "--track", "gone.toml"),
        ("compare", "1.08", "gone.json"),
        ("power", "--track", "10min_16mb", "--against", "gone.json", "--std", "0.1", "--delta", "0.1"),
    ],
)
def test_a_file_that_is_missing_is_called_a_file(words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.toml").write_text('extends = "gone.toml"')
    error = CliRunner().invoke(app, words).exception
    assert isinstance(error, BadInput) and re.match(r"gone\.(toml|json): no such file", str(error))


def test_a_name_without_a_word_is_told_without_a_date(tmp_path):
    error = (
        CliRunner().invoke(app, ["record", "--name", "...", "--runs-dir", str(tmp_path / "runs"), "--plan"]).exception
    )
    assert isinstance(error, BadInput) and "'...'" in str(error) and "date" not in str(error)


@pytest.mark.parametrize("day", ["2026-13-40", "2026-02-29", "2026-1-2", "20260102", "today"])
def test_a_date_is_a_day_of_the_calendar(day, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train_gpt.py").touch()
    log = Folder(tmp_path / "logs").write() / "train_seed42.log"
    before = sorted(tmp_path.rglob("*"))
    for words in (
        ["draft", str(log), "--program", "train_gpt.py", "--name", "Mine", "--date", day],
        ["draft", str(log), "--program", "train_gpt.py", "-o", f"{day}_Mine", "--date", day],
        ["ledger", "add", "mine", str(log), "--track", "10min_16mb", "--title", "Mine", "--date", day, "--out", "."],
    ):
        error = CliRunner().invoke(app, words).exception
        assert isinstance(error, BadInput) and str(error).startswith(f"'{day}' is no date")
    assert sorted(tmp_path.rglob("*")) == before


def test_path_that_the_system_refuses_is_a_line_and_bad_input(tmp_path: Path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    (tmp_path / "entry").mkdir()
    (tmp_path / "entry" / "submission.json").write_text("{}")
    page = tmp_path / "file" / "audit.html"
    monkeypatch.setattr(sys, "argv", ["pgolf", "audit", str(tmp_path / "entry"), "--html", str(page)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_names_of_strangers_do_not_move_the_terminal(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pgolf", "audit", str(tmp_path / "\x1b]0;owned\x07\x1b[2J")])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 2 and "owned" in said and said.count("\n") == 1 and said.strip().isprintable()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_full_disk_is_a_line_and_a_failure():
    with open("/dev/full", "wb") as full:
        command = [str(Path(sys.executable).with_name("pgolf")), "data", "caseops", "encode"]
        done = subprocess.run(command, input=b"A text" * 100_000, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr.decode()) == (1, "pgolf: No space left on device\n")


def test_a_file_that_a_full_disk_does_not_take_is_named(tmp_path: Path, monkeypatch, capsys):
    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as the system's own: it names no file

    entry, page = tmp_path / "entry", tmp_path / "pages" / "audit.html"
    entry.mkdir()
    (entry / "submission.json").write_text("{}")
    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(sys, "argv", ["pgolf", "audit", str(entry), "--html", str(page)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == f"pgolf: {page}: No space left on device\n"
    assert not list(page.parent.iterdir())


def test_greek_letters_are_words_where_there_is_only_ascii():
    command = [str(Path(sys.executable).with_name("pgolf")), "compare", "1.0780,1.0779,1.0783", "1.0810,1.0811,1.0812"]
    done = subprocess.run(command, env=os.environ | {"PYTHONIOENCODING": "ascii"}, capture_output=True, text=True)
    assert done.returncode == 0 and "Delta (previous - new)" in done.stdout and "?" not in done.stdout


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("pgolf re", "record reproduce report"), ("pgolf train --preset smoke-b", "smoke-base")],
)
def test_a_shell_completes_commands_and_the_names_of_presets(typed, offered):
    shell = {"_PGOLF_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    said = CliRunner().invoke(app, [], env=shell, prog_name="pgolf")
    assert said.output.split() == offered.split()
