"""`pgolf audit` over many folders and in every format: past a bad folder, in order, and hostile to hostile words."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from good_entry import Folder
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from pgolf.cli import app, main

HOSTILE = (
    "%0A::error::gone ::stop-commands::x ##[error]y <script>alert(1)</script> [a](https://evil.example)"
    " ![](//e.example/x) @everyone #1 GH-2 https://evil.example www.evil.example a@evil.example `|` $x$ \u202e"
)
FORMATS = ("text", "json", "github", "markdown")
CHECK = "claimed-mean"  # fails in the folders of `bad`


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return Folder(tmp_path / "2026-04-25_Good").write()


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    folder = Folder(tmp_path / "2026-04-25_Bad")
    folder.write()
    folder.claim(val_bpb=1.0)
    return folder.path


def audit(*arguments: object, **env: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    words = [sys.executable, "-m", "pgolf.cli", "audit", *map(str, arguments)]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GITHUB_")}
    done = subprocess.run(words, capture_output=True, text=True, env=clean | env)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("format", FORMATS)
def test_a_folder_that_cannot_be_read_loses_no_other(good, bad, tmp_path, format):
    (tmp_path / "empty").mkdir()
    code, out, err = audit(bad, tmp_path / "empty", tmp_path / "gone", good, "--format", format)
    assert code == 2
    assert CHECK in out and "Traceback" not in err
    said = out if format == "github" else err
    assert f"{tmp_path / 'empty'}: neither a submission.json nor a log" in said.replace("%3A", ":")
    assert f"no folder {tmp_path / 'gone'}" in said
    if format == "json":
        content = json.loads(out)
        assert [r["folder"] for r in content["records"]] == [str(bad), str(good)]
        assert [u["folder"] for u in content["unreadable"]] == [str(tmp_path / "empty"), str(tmp_path / "gone")]
    if format == "text":
        assert f"{good} · track " in out  # in one piece, however narrow the terminal
    if format == "markdown":
        assert "2026-04-25_Good" in out


@pytest.mark.parametrize("jobs", [1, 3])
def test_json_is_whole_whatever_is_in_it(good, bad, tmp_path, jobs):
    assert json.loads(audit(tmp_path / "gone", "--json")[1])["records"] == []
    code, out, _ = audit(*[good, bad] * 15, "--json", "--jobs", jobs)
    content = json.loads(out)
    assert code == 1 and content["unreadable"] == []
    assert [r["folder"] for r in content["records"]] == [str(good), str(bad)] * 15
    assert out == json.dumps(content, indent=2) + "\n"


def test_processes_print_what_one_prints(good, bad, tmp_path):
    folders = [good, bad, tmp_path / "gone"] * 10
    for format in FORMATS:
        assert audit(*folders, "--format", format, "--jobs", 2) == audit(*folders, "--format", format, "--jobs", 1)


@pytest.mark.parametrize(
    ("fail_on", "clean", "warned", "failed"), [("fail", 0, 0, 1), ("warn", 0, 1, 1), ("never", 0, 0, 0)]
)
def test_the_mildest_finding_that_fails_is_chosen(good, bad, tmp_path, fail_on, clean, warned, failed):
    warns = Folder(tmp_path / "2026-04-25_Warns")
    warns.write()
    (warns.path / "copy.log").write_bytes(warns.log(42).read_bytes())
    for folder, expected in ((good, clean), (warns.path, warned), (bad, failed)):
        assert CliRunner().invoke(app, ["audit", str(folder), "--fail-on", fail_on]).exit_code == expected
    assert audit(tmp_path / "gone", "--fail-on", fail_on)[0] == 2


def test_annotations_are_at_file_and_line_of_the_repository(bad, tmp_path):
    summary = tmp_path / "summary.md"
    summary.write_text("of a step before\n")
    code, out, _ = audit(
        bad, "--format", "github", GITHUB_WORKSPACE=str(tmp_path), GITHUB_STEP_SUMMARY=str(summary), PWD="/"
    )
    line = 1 + (bad / "submission.json").read_text().splitlines().index('  "val_bpb": 1.0,')
    (error,) = (text for text in out.splitlines() if text.startswith("::error"))
    assert error.startswith(f"::error file=2026-04-25_Bad/submission.json,line={line},title=pgolf%3A {CHECK}::2026-")
    assert code == 1 and out.endswith("pgolf: 1 record audited, 1 fail, 0 warn\n")
    text = summary.read_text()
    assert text.startswith("of a step before\n## pgolf audit: 1 record audited") and CHECK in text


def test_something_missing_is_annotated_at_a_file_that_is_there(bad, tmp_path):
    (bad / "README.md").unlink()
    _, out, _ = audit(bad, "--format", "github", GITHUB_WORKSPACE=str(tmp_path))
    assert "::error file=2026-04-25_Bad/submission.json,title=pgolf%3A required-files::" in out


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """Hostile words wherever a stranger may put them: the folder, a file's name, claims, a log, the README."""
    folder = Folder(tmp_path / "2026-04-25 ::error::,x\n::error::%0A @all [a](b) <i>")
    folder.write()
    folder.edit_logs("NVIDIA H100 80GB HBM3 ", f"NVIDIA A100 {HOSTILE}")
    folder.log(999).rename(folder.path / "train_seed999,line=7::x\n::error::<b>`|`.log")
    folder.claim(name=HOSTILE, hardware=HOSTILE, track=HOSTILE, val_bpb=1.0)
    return folder.path


def test_no_word_of_a_stranger_is_a_workflow_command(hostile, tmp_path):
    gone = tmp_path / "gone\n::warning::x ##[error]"
    code, out, err = audit(hostile, gone, "--format", "github", GITHUB_WORKSPACE=str(tmp_path))
    assert code == 2 and err == ""
    *commands, last = out.splitlines()
    assert last == "pgolf: 1 record audited, 1 fail, 0 warn, 1 could not be read"
    for line in commands:
        head, _, _ = line.removeprefix("::").partition("::")
        name, _, fields = head.partition(" ")
        assert name in ("error", "warning")
        assert {f.partition("=")[0] for f in fields.split(",")} <= {"file", "line", "title"}
        assert re.fullmatch(r"\d+", dict(f.split("=", 1) for f in fields.split(",")).get("line", "1"))
    assert any("no rules here" in line and "stop-commands" in line for line in commands)


def elements(markdown: str) -> set[str]:
    """The HTML elements that GitHub's dialect makes of it."""
    html = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(markdown)
    return set(re.findall(r"<([a-z][a-z0-9]*)", html))


@pytest.mark.parametrize("format", ["markdown", "github"])
def test_no_word_of_a_stranger_is_markup_a_link_or_a_mention(hostile, tmp_path, format):
    summary = tmp_path / "summary.md"
    gone = tmp_path / "gone <b> @all [a](b) https://evil.example"
    _, out, _ = audit(hostile, gone, "--format", format, GITHUB_STEP_SUMMARY=str(summary))
    text = summary.read_text() if format == "github" else out
    assert "hardware" in text and "evil" in text and "could not be read" in text.lower()
    plain = {"h2", "h3", "p", "strong", "code", "ul", "li", "table", "thead", "tbody", "tr", "th", "td"}
    assert elements(text) <= plain
    outside = re.sub(r"`[^`\n]*`", "", text)  # GitHub looks for mentions and issues outside code
    assert not re.search(r"@\w|(?<!&)#\d|GH-\d|https?://|www\.|\$\w", outside)
    assert "\u202e" not in text


def test_markdown_of_several_is_one_document(good, bad):
    _, out, _ = audit(good, bad, "--format", "markdown", "--against", "auto")
    assert [line for line in out.splitlines() if line.startswith("### ")] == [
        "### `2026-04-25_Good`",
        "### `2026-04-25_Bad`",
    ]
    assert "Against `pr1736`: " in out  # stood for the track before 25 April


def test_auto_without_a_date_or_a_record_says_so(tmp_path):
    folder = Folder(tmp_path / "record")
    folder.write()
    folder.claim(date="2026-03-17")
    assert (
        "the ledger has no record of track 10min_16mb from before 2026-03-17 that its rules admit"
        in audit(folder.path, "--against", "auto", "--format", "json")[1]
    )
    folder.claim(date=None)
    assert "the record has no date" in audit(folder.path, "--against", "auto", "--format", "json")[1]


def test_page_has_the_folders_that_can_be_read(good, bad, tmp_path):
    (bad / "plan.json").write_text("[")
    page = tmp_path / "page.html"
    code, out, err = audit(good, bad, tmp_path / "gone", "--html", page)
    assert code == 2 and "plan.json" in err and "no folder" in err
    assert CHECK in out and "2026-04-25" in page.read_text()


def test_bad_record_to_beat_is_told_before_anything_is_printed(good, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pgolf", "audit", str(good), "--json", "--against", "pr9"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2 and capsys.readouterr().out == ""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc here")
def test_ctrl_c_ends_all_processes_without_a_trace(good, tmp_path):
    """Both as a terminal sends it, to the whole group, and as `kill` does, to one process."""
    big = Folder(tmp_path / "big")
    big.write()
    with big.log(42).open("a") as f:
        f.writelines(f"step:{step}/9000000 train_loss:2.3456 train_time:{24 * step}ms\n" for step in range(1, 200_000))
    words = [sys.executable, "-m", "pgolf.cli", "audit", *[str(good)] * 8, *[str(big.path)] * 56, "--jobs", "2"]
    for send in (os.kill, os.killpg):
        run = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, text=True)
        assert run.stdout is not None
        run.stdout.readline()  # it is at work
        send(run.pid, signal.SIGINT)
        _, err = run.communicate(timeout=60)
        assert run.returncode in (130, -signal.SIGINT) and "Traceback" not in err
        assert ended_soon(run.pid)


def ended_soon(group: int, seconds: float = 20) -> bool:
    """Whether no process of the group is left; one that only waits to be reaped has ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        states = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it ended meanwhile
                states.append(stat.read_text().rpartition(")")[2].split())
        if not any(int(state[2]) == group and state[0] != "Z" for state in states):
            return True
        time.sleep(0.1)
    return False
