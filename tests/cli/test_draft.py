"""`pgolf audit --draft`: the most serious first, a remedy for everything, and a plain word where nothing is wrong."""

import json
import re

import pytest
from good_entry import BPB, FIRST, SEEDS, Folder, log_text
from typer.testing import CliRunner

from pgolf.audit.checks import CHECKS, Check
from pgolf.audit.remedies import REMEDIES, points
from pgolf.cli import app
from pgolf.errors import BadInput

IDS = {check.__name__.replace("_", "-") for check in CHECKS}


@pytest.fixture
def folder(tmp_path):
    f = Folder(tmp_path / "2026-04-25_A_Record")
    f.write()
    return f


@pytest.fixture
def previous(tmp_path):
    """A record before, 0.0026 bpb worse and of the same knobs."""
    f = Folder(tmp_path / "2026-04-09_Before")
    f.write()
    for seed in SEEDS:
        f.log(seed).write_text(log_text(seed, BPB[seed] + 0.0026, tuple(x + 0.02 for x in FIRST[seed])))
    return f


def draft(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["audit", "--draft", *map(str, arguments)])
    return done.exit_code, done.stdout


def test_every_check_has_its_remedies_and_no_remedy_is_left_over():
    assert set(REMEDIES) == IDS
    for name, remedy in REMEDIES.items():
        for text in (remedy.mend, remedy.show):
            assert re.fullmatch(r"[A-Z][^.]*(\.[^.]+)*\.", text) and len(text.split()) >= 6, name
            assert len(text) < 160


def test_failures_come_first_and_in_each_kind_the_gravest():
    names = list(REMEDIES)
    checks = [Check(n, s, "m") for s in ("unknown", "pass", "fail", "warn") for n in reversed(names)]
    found = [(p.check.status, p.check.id) for p in points(checks)]
    assert found == [(s, n) for s in ("fail", "warn", "unknown") for n in names]


def test_a_seed_run_twice_comes_before_a_wrong_figure_before_a_missing_file(folder):
    folder.log(999).write_text(folder.log(42).read_text().replace("seed: 42", "seed: 999"))
    folder.claim(val_bpb=1.0)
    (folder.path / "README.md").unlink()
    code, out = draft(folder.path)
    assert code == 1
    assert out.index("seeds-distinct") < out.index("claimed-mean") < out.index("required-files")
    assert "submission.json:7" in out and "→ Claim the mean over the seeds" in out


def test_markdown_numbers_the_points(folder):
    folder.claim(val_bpb=1.0)
    _, out = draft(folder.path, "--format", "markdown")
    assert "1. ✗ **claimed-mean**: claims 1.0 bpb" in out and "   **To do:** Claim the mean" in out
    numbers = [int(n) for n in re.findall(r"^(\d+)\. ", out, re.M)]
    assert numbers == list(range(1, len(numbers) + 1)) and out.count("**To do:**") == len(numbers)


def test_a_good_record_is_told_so(folder, previous):
    code, out = draft(folder.path, "--against", previous.path)
    flat = " ".join(out.split())
    assert code == 0 and "A reviewer will find nothing to object to: all checks pass (23)." in flat
    assert "1. " not in out.replace("0.0", "") and "→" not in out
    _, out = draft(folder.path, "--against", previous.path, "--format", "markdown")
    assert "nothing to object to" in out and "To do" not in out


def test_what_no_log_shows_is_no_failure(folder, previous):
    (folder.path / "dataset.json").unlink()
    code, out = draft(folder.path, "--against", previous.path)
    assert code == 0 and "No check fails." in " ".join(out.split()) and "Put the dataset's manifest" in out


def test_whether_it_is_better_is_said_first(folder, tmp_path):
    worse = Folder(tmp_path / "2026-04-26_Worse")
    worse.write()
    for seed, bpb in BPB.items():
        worse.log(seed).write_text(log_text(seed, bpb + 0.01))
    _, out = draft(folder.path, "--against", worse.path)
    assert "clears the bar" in out and "pgolf power" not in out
    _, out = draft(worse.path, "--against", folder.path, "--format", "markdown")
    assert "no improvement" in out.partition("1. ")[0] and "pgolf power" in out
    _, out = draft(folder.path)
    assert "--against auto" in " ".join(out.partition("1. ")[0].split())


def test_formats_of_machines_have_no_draft(folder):
    for format in ("json", "github"):
        done = CliRunner().invoke(app, ["audit", "--draft", "--format", format, str(folder.path)])
        assert isinstance(done.exception, BadInput) and format in str(done.exception)
    assert json.loads(CliRunner().invoke(app, ["audit", str(folder.path), "--json"]).stdout)["records"]


def test_placeholders_that_pgolf_writes_itself_are_points_and_no_failure(folder, previous):
    folder.claim(author="unknown", github_id="", technique_summary="")
    code, out = draft(folder.path, "--against", previous.path)
    flat = " ".join(out.split())
    assert code == 0 and "A reviewer will find 1 warning. No check fails." in flat and "nothing to object" not in flat
    assert "still to be filled in: author, github_id, technique_summary" in flat and "--summary" in flat
    _, out = draft(folder.path, "--against", previous.path, "--format", "markdown")
    assert "1. ▲ **placeholders**: still to be filled in" in out and "`submission.json:2`" in out


def test_a_summary_under_another_key_is_one(folder, previous):
    folder.claim(technique_summary="", blurb="Wider.")
    _, out = draft(folder.path, "--against", previous.path)
    assert "nothing to object to" in " ".join(out.split())


def test_a_day_in_the_future_is_a_point(folder, previous):
    folder.claim(date="2099-01-01")
    code, out = draft(folder.path, "--against", previous.path)
    assert code == 0 and "dated in the future: 2099-01-01" in " ".join(out.split())
    renamed = folder.path.rename(folder.path.with_name("2098-12-31_Mine"))
    _, out = draft(renamed, "--against", previous.path)
    assert "dated in the future: 2098-12-31, 2099-01-01" in " ".join(out.split())


def test_a_placeholder_comes_after_what_fails(folder):
    folder.claim(val_bpb=1.0, author="unknown")
    _, out = draft(folder.path)
    assert out.index("claimed-mean") < out.index("placeholders")
