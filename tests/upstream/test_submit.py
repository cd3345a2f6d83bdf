"""A record's folder goes to a branch of its own in a clone, and nothing else there changes or runs."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from good_entry import BPB, SEEDS, Folder, log_text
from good_speedrun import Folder as Speedrun
from typer.testing import CliRunner

from pgolf.audit.audit import audit
from pgolf.cli import app
from pgolf.errors import BadInput, RunFailed
from pgolf.evidence.plan import make_plan, write_plan
from pgolf.ledger.choosing import standing_record
from pgolf.report.pull_request import body, title
from pgolf.tracks import load
from pgolf.upstream.submit import MOST_FILE_BYTES, submit

BRANCH = "record/2026-04-25_A_record"
IN_ARCHIVE = "records/track_10min_16mb/2026-04-25_A_record"
HOOKS = ("pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "reference-transaction", "post-index-change")


def git(repo: Path, *words: str) -> str:
    ran = subprocess.run(["git", "-C", str(repo), *words], capture_output=True, check=True, text=True)
    return ran.stdout


@pytest.fixture(autouse=True)
def author(monkeypatch, tmp_path):
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "A Person")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "a@example.com")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of an archive whose user is at work on a branch, and whose configuration would run things."""
    archive, repo = tmp_path / "archive", tmp_path / "clone"
    git(tmp_path, "init", "-q", "-b", "main", str(archive))
    old = archive / "records" / "track_10min_16mb" / "2026-03-17_Old"
    speedrun = archive / "records" / "track_1_short" / "2026-01-01_Old"
    for folder in (old, speedrun):
        folder.mkdir(parents=True)
        (folder / "README.md").write_text("# Old\n")
    (archive / ".gitattributes").write_text("*.log filter=evil\n* text=auto\n")
    git(archive, "add", ".")
    git(archive, "commit", "-q", "-m", "An archive")
    git(tmp_path, "clone", "-q", str(archive), str(repo))
    git(repo, "checkout", "-q", "-b", "work")
    (repo / "staged.txt").write_text("staged")
    git(repo, "add", "staged.txt")
    (repo / "records" / "track_10min_16mb" / "2026-03-17_Old" / "README.md").write_text("at work on it")
    ran = tmp_path / "ran"
    script = tmp_path / "evil.sh"
    script.write_text(f"#!/bin/sh\necho $0 $@ >> {ran}\ncat\n")
    script.chmod(0o755)
    for hook in HOOKS:
        (repo / ".git" / "hooks" / hook).symlink_to(script)
    for name in ("core.fsmonitor", "filter.evil.clean", "filter.evil.smudge", "gpg.program", "core.editor"):
        git(repo, "config", name, str(script))
    git(repo, "config", "commit.gpgSign", "true")
    return repo


@pytest.fixture
def record(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "mine" / "2026-04-25_A_record")
    folder.write()
    return folder


def state(repo: Path) -> tuple[object, ...]:
    """All that is the user's own in a clone: what is checked out, staged, and changed."""
    files = {p: p.read_bytes() for p in repo.rglob("*") if p.is_file() and ".git" not in p.relative_to(repo).parts}
    return (repo / ".git" / "HEAD").read_text(), (repo / ".git" / "index").read_bytes(), files


def test_the_folder_is_committed_and_nothing_else_changes_or_runs(clone, record, tmp_path):
    (record.path / "final_model.int6.ptz").write_bytes(b"weights")
    (record.path / ".env").write_text("KEY=secret")
    before = state(clone)
    done = submit(record.path, clone / "records")
    assert (done.committed.branch, done.path, done.base) == (BRANCH, IN_ARCHIVE, "origin/HEAD")
    assert set(done.left_out) == {"final_model.int6.ptz", ".env"}
    assert state(clone) == before
    assert not (tmp_path / "ran").exists()
    changed = git(clone, "diff-tree", "-r", "--name-only", "origin/main", BRANCH).split()
    left = {"final_model.int6.ptz", ".env"}
    assert sorted(changed) == sorted(f"{IN_ARCHIVE}/{p.name}" for p in record.path.iterdir() if p.name not in left)
    for path in changed:
        blob = subprocess.run(["git", "-C", clone, "cat-file", "blob", f"{BRANCH}:{path}"], capture_output=True)
        assert blob.stdout == (record.path / Path(path).name).read_bytes()
    assert git(clone, "rev-parse", f"{BRANCH}^") == git(clone, "rev-parse", "origin/main")
    assert git(tmp_path / "archive", "branch").split() == ["*", "main"]
    assert "not signed" in " ".join(done.remarks)


def test_a_second_run_finds_it_there_and_changes_make_a_second_commit(clone, record):
    first = submit(record.path, clone).committed
    again = submit(record.path, clone).committed
    assert (first.new, again.new, again.commit) == (True, False, first.commit)
    record.edit("README.md", "# A record", "# A better record")
    (record.path / "dataset.json").unlink()
    more = submit(record.path, clone).committed
    assert (more.new, more.parent) == (True, first.commit)
    assert "dataset.json" not in git(clone, "ls-tree", "-r", "--name-only", BRANCH)


def planned(folder: Folder, created: str) -> None:
    """The folder as pgolf writes it: with the plan of its runs, and logs that name them."""
    write_plan(folder.path, make_plan("r1", "10min_16mb", "smoke", SEEDS, {"train_gpt.py": "ab" * 32}, created=created))
    folder.edit_logs("run_id: ", f"run_id: {created}-")


@pytest.mark.parametrize("has_plan", [True, False])
def test_another_record_of_that_name_replaces_nothing(clone, record, tmp_path, has_plan):
    other = Folder(tmp_path / "others" / record.path.name)
    other.write()
    other.edit_logs("run_id: ", "run_id: b")
    if has_plan:
        planned(record, "2026-04-25T00:00:00+00:00")
        planned(other, "2026-04-25T01:00:00+00:00")
    first = submit(record.path, clone).committed
    with pytest.raises(BadInput, match=f"branch {BRANCH} has another record in {IN_ARCHIVE}.*rename this folder"):
        submit(other.path, clone)
    with pytest.raises(BadInput, match="branch -D mine"):
        submit(record.path, clone, branch="mine") and submit(other.path, clone, branch="mine")
    assert git(clone, "rev-parse", BRANCH).strip() == first.commit
    renamed = other.path.rename(other.path.with_name("2026-04-25_Another"))
    assert submit(renamed, clone).committed.branch == "record/2026-04-25_Another"
    git(clone, "branch", "-D", BRANCH)
    assert submit(renamed.rename(other.path), clone).committed.new


def test_the_same_record_may_change_and_says_what_is_gone(clone, record):
    planned(record, "2026-04-25T00:00:00+00:00")
    submit(record.path, clone)
    record.edit_logs("run_id: ", "run_id: again-")  # its plan says that it is the same
    (record.path / "dataset.json").unlink()
    done = submit(record.path, clone)
    assert done.committed.new and "no longer there: dataset.json" in done.remarks


def test_a_draft_may_have_one_log_replaced_or_renamed(clone, record):
    submit(record.path, clone)
    record.log(42).rename(record.path / "train_42.txt")
    record.edit("train_seed314.log", "run_id: ", "run_id: again-")
    done = submit(record.path, clone)
    assert done.committed.new and "no longer there: train_seed42.log" in done.remarks


@pytest.mark.parametrize("output", [".", "README.md/body.md"])
def test_a_body_that_cannot_be_written_stops_it_before_the_commit(clone, record, monkeypatch, output):
    monkeypatch.chdir(record.path)
    ended = CliRunner().invoke(app, ["submit", str(record.path), "--repo", str(clone), "-o", output])
    assert isinstance(ended.exception, BadInput) and "--output" in str(ended.exception)
    assert BRANCH not in git(clone, "branch", "--all")


def test_what_a_killed_run_has_left_does_not_stop_the_next(clone, record):
    lock = clone / ".git" / "refs" / "heads" / f"{BRANCH}.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()  # as git leaves it when it is killed at the last step
    with pytest.raises(RunFailed, match="update-ref failed"):
        submit(record.path, clone)
    lock.unlink()
    assert submit(record.path, clone).committed.new


def test_a_failing_check_stops_it_and_anyway_says_so(clone, record):
    record.claim(val_bpb=1.05)
    with pytest.raises(RunFailed, match="claimed-mean"):
        submit(record.path, clone)
    assert BRANCH not in git(clone, "branch", "--all")
    done = submit(record.path, clone, anyway=True)
    assert "**claimed-mean** fail" in done.body and "1 check fails" in done.body
    assert done.title.startswith("Submission: ")


def test_a_branch_in_use_is_left_alone(clone, record, tmp_path):
    submit(record.path, clone)
    git(clone, "-c", "core.hooksPath=/dev/null", "worktree", "add", "-q", str(tmp_path / "other"), BRANCH)
    assert not submit(record.path, clone).committed.new  # the same: nothing is to be done
    record.edit("README.md", "# A record", "# Another")
    with pytest.raises(BadInput, match="is checked out in"):
        submit(record.path, clone)
    git(clone, "-c", "core.hooksPath=/dev/null", "-c", "commit.gpgSign=false", "commit", "-q", "-m", "Work")
    with pytest.raises(BadInput, match=r"changes other files, too: staged\.txt"):
        submit(record.path, clone, branch="work")
    assert submit(record.path, clone, branch="mine/second").committed.branch == "mine/second"
    with pytest.raises(BadInput, match="no name of a branch"):
        submit(record.path, clone, branch="a..b")
    before = git(clone, "rev-parse", "main")
    with pytest.raises(BadInput, match="branch main is there already, without records/"):
        submit(record.path, clone, branch="main")
    assert git(clone, "rev-parse", "main") == before


def test_a_submodule_is_no_folder_of_a_track(clone, record):
    env, head = os.environ | {"GIT_INDEX_FILE": ".git/other"}, git(clone, "rev-parse", "origin/main").strip()
    for words in (
        ["read-tree", head],
        ["rm", "-q", "-r", "--cached", "records/track_10min_16mb"],
        ["update-index", "--add", "--cacheinfo", f"160000,{head},records/track_10min_16mb"],
    ):
        subprocess.run(["git", "-C", str(clone), *words], env=env, check=True)
    ran = subprocess.run(["git", "-C", str(clone), "write-tree"], env=env, check=True, capture_output=True, text=True)
    base = git(clone, "commit-tree", "--no-gpg-sign", "-m", "A submodule", ran.stdout.strip()).strip()
    with pytest.raises(BadInput, match="no folder of track 10min_16mb"):
        submit(record.path, clone, base=base)


def test_an_unknown_author_is_told_what_to_do(clone, record, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("GIT_AUTHOR", "GIT_COMMITTER"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("EMAIL", "")
    with pytest.raises(BadInput, match="git does not know who you are"):
        submit(record.path, clone)
    assert BRANCH not in git(clone, "branch", "--all")


def test_what_cannot_be_submitted_is_refused(clone, record, tmp_path):
    with pytest.raises(BadInput, match="no clone"):
        submit(record.path, tmp_path)
    with pytest.raises(BadInput, match="no folder"):
        submit(record.path, tmp_path / "none")
    with pytest.raises(BadInput, match="no folder of track cpu_smoke"):
        Folder(tmp_path / "smoke" / "2026-04-25_Smoke").write()
        record.claim(track="cpu_smoke")
        submit(record.path, clone, anyway=True)
    record.claim(track="10min_16mb")
    with pytest.raises(BadInput, match="called <date>_<name>"):
        submit(Folder(tmp_path / "undated").write(), clone)
    with pytest.raises(BadInput, match="is in origin/HEAD already"):
        submit(Folder(tmp_path / "2026-03-17_Old").write(), clone)
    with (record.path / "big.bin").open("wb") as f:
        f.truncate(MOST_FILE_BYTES + 1)
    with pytest.raises(BadInput, match="over 100 MiB"):
        submit(record.path, clone)
    (record.path / "big.bin").unlink()
    (record.path / "passwd.txt").symlink_to("/etc/passwd")
    with pytest.raises(BadInput, match="a link"):
        submit(record.path, clone, anyway=True)
    assert BRANCH not in git(clone, "branch", "--all")


def test_it_is_called_a_record_only_where_the_one_that_stands_is_beaten(record):
    plain = audit(record.path)
    assert title(plain) == "Submission: A record, val_bpb 1.07905 (3-seed mean)"
    beside_old = audit(record.path, against="2026-03-18_LowerLR")
    assert beside_old.comparison
    assert "A better record stands" in body(beside_old, IN_ARCHIVE) or not beside_old.comparison.clears
    assert not title(beside_old).startswith("Record")
    record.claim(track="non-record-unlimited-compute-16mb")
    none = audit(record.path)
    assert title(none).startswith("Non-record: ")
    assert "## Beside the standing record (this is no record)" in body(none, IN_ARCHIVE)
    assert "## Significance" not in body(none, IN_ARCHIVE) and "## Significance" in body(plain, IN_ARCHIVE)


def test_a_record_that_beats_the_one_that_stands_is_called_one(record):
    for seed in SEEDS:
        record.log(seed).write_text(log_text(seed, BPB[seed] - 0.03))
    standing = standing_record(load("10min_16mb"))
    named = {*standing.hyperparameters, "matrix_lr", "ttt_epochs", "ema_decay", "ttt_enabled", "sliding_window_enabled"}
    (record.path / "README.md").write_text(f"# On {standing.name}\n\nOther knobs: {', '.join(sorted(named))}\n")
    results = {str(s): {"val_bpb": BPB[s] - 0.03} for s in SEEDS}
    record.claim(val_bpb=1.04904991, val_bpb_std=0.0001243, seed_results=results)
    found = audit(record.path, against=standing)
    assert title(found).startswith("Record: A record, val_bpb 1.04905 (3-seed mean, gain +0.0"), title(found)
    assert "A better record stands" not in body(found, IN_ARCHIVE)


def test_a_strangers_words_are_shown_and_not_obeyed(record):
    record.claim(name="A\nB<b>" + "x" * 500, technique_summary="@everyone <img src=x> [a](http://b)\n# H")
    found = audit(record.path)
    assert "\n" not in title(found) and len(title(found)) <= 250
    text = body(found, IN_ARCHIVE)
    assert "<img" not in text and "@everyone" not in text and "\n# H" not in text


def test_the_commands_have_the_fork_and_no_password(clone, record, tmp_path):
    git(clone, "remote", "add", "upstream", "git@github.com:openai/parameter-golf.git")
    git(clone, "remote", "set-url", "origin", "https://me:secret@github.com/me/parameter-golf.git")
    out = tmp_path / "body.md"
    ran = CliRunner().invoke(app, ["submit", str(record.path), "--repo", str(clone), "--json", "-o", str(out)])
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    assert out.read_text() == told["body"]
    assert "secret" not in ran.output
    push, create = told["commands"]
    assert push.endswith(f"push --set-upstream origin {BRANCH}")
    assert f"--repo openai/parameter-golf --head me:{BRANCH} --title " in create
    shown = CliRunner().invoke(app, ["submit", str(record.path), "--repo", str(clone)])
    assert "there already" in shown.output and "Nothing is pushed." in shown.output


def test_a_clone_from_elsewhere_is_told_how_to_open_the_pull_request(clone, record, tmp_path):
    git(clone, "remote", "set-url", "origin", "https://example.org/archive.git")
    out = tmp_path / "body.md"
    ran = CliRunner().invoke(app, ["submit", str(record.path), "--repo", str(clone), "-o", str(out)])
    assert ran.exit_code == 0, ran.output
    assert "To push it:\n" in ran.output and "gh pr create" not in ran.output
    assert f"on the archive's page: from branch {BRANCH}, with the title above and the text in {out}" in ran.output


def test_figures_of_the_body_are_plain_text(record):
    text = body(audit(record.path, against="pr1493"), IN_ARCHIVE)
    assert re.search(r"\| [+-]?\d+\.\d+", text) and not re.search(r"\\[-.]", text)


def test_a_speedrun_goes_to_its_own_track(clone, tmp_path):
    folder = Speedrun(tmp_path / "track_1_short" / "2026-07-17_Faster").write()
    done = submit(folder, clone, anyway=True)
    assert done.path == "records/track_1_short/2026-07-17_Faster"
    assert "| variant |" in done.body and "loss" in done.title
