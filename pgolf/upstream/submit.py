"""A record's folder → a commit in a clone of the archive, and the text of its pull request. Nothing is pushed."""

import os
import re
import shlex
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from pgolf import tracks
from pgolf.audit.audit import Audit, Audited, audit
from pgolf.audit.belonging import SHORT_DAY
from pgolf.errors import BadInput, RunFailed
from pgolf.evidence.folder import is_log_name
from pgolf.evidence.lines import printable
from pgolf.evidence.record_folder import check_record_folder
from pgolf.files import stays_inside
from pgolf.ledger import StandingRecord
from pgolf.phrases import counted
from pgolf.report.pull_request import better_than_beaten, body, title
from pgolf.tracks import Track
from pgolf.untrusted import list_folder, read_bytes
from pgolf.upstream.clone import Clone, Committed, File

MOST_FILE_BYTES = 100 << 20  # GitHub takes no larger file
MOST_BYTES, MOST_FILES, DEEPEST = 1 << 30, 1000, 8
# What runs leave, and a submission does not have: models, caches
LEFT_OUT = ("*.pt", "*.pth", "*.ptz", "*.ckpt", "*.safetensors", "*.npz", "*.pyc", "__pycache__")
PLAN = "plan.json"
SHOWN, MOST_SHOWN = 5, 400  # failures that a message names, and characters of one


@dataclass(frozen=True)
class Submitted:
    """A commit, and what is left to do by hand.

    Attributes
    ----------
    committed : the branch and its commit.
    base, base_day : what the branch starts from, and its day.
    path : the folder in the archive.
    files : names and bytes of what is in it.
    left_out : names of the folder's files that are not.
    title, body : of the pull request; the body is Markdown.
    remarks : what the user should know, a sentence each.
    """

    committed: Committed
    base: str
    base_day: str
    path: str
    files: tuple[tuple[str, int], ...]
    left_out: tuple[str, ...]
    title: str
    body: str
    remarks: tuple[str, ...]
    clone: Clone

    def commands(self, body_file: Path | None = None) -> list[str]:
        """The commands that push the branch and open the pull request."""
        clone, branch = self.clone, self.committed.branch
        push = shlex.join(["git", "-C", str(clone.path), "push", "--set-upstream", "origin", branch])
        archive, fork = clone.archive(), clone.on_github("origin")
        if not archive:
            return [push]
        owner = fork.partition("/")[0] if fork else ""
        head = f"{owner}:{branch}" if owner and fork != archive else branch
        words = ["gh", "pr", "create", "--repo", archive, "--head", head, "--title", self.title]
        return [push, shlex.join([*words, "--body-file", str(body_file or "body.md")])]

    def by_hand(self, body_file: Path | None = None) -> str | None:
        """How to open the pull request where no command does, as the archive is not known to be on GitHub."""
        if self.clone.archive():
            return None
        where = f"the text in {body_file}" if body_file else "the text above"
        return (
            f"Then open the pull request on the archive's page: from branch {self.committed.branch}, with the title "
            f"above and {where} as its body."
        )


def submit(
    folder: Path,
    repo: Path,
    track: Track | None = None,
    against: StandingRecord | Path | str | None = None,
    branch: str | None = None,
    base: str | None = None,
    anyway: bool = False,
) -> Submitted:
    """Commit a record's folder to a branch of its own in a clone of the archive.

    Parameters
    ----------
    folder : the record's folder, <date>_<name>.
    repo : the clone, which has a folder records/ with the track's folder in it. Its working tree, its index and the
        branch that is checked out stay as they are.
    track, against : as of `audit`.
    branch : its name; default: record/<name of the folder>.
    base : what it starts from; default: the archive's main branch, as it was last fetched.
    anyway : commit, though a check fails; the body says so.

    Raises
    ------
    BadInput : the folder or the clone cannot be used, or the branch has another record of this name. Nothing is
        written.
    RunFailed : a check fails, or git does. Nothing is committed.
    """
    check_record_folder(folder)
    name = folder.resolve().name
    if not SHORT_DAY.match(name) or not stays_inside(name):
        raise BadInput(f"{folder}: a submission's folder is called <date>_<name>, such as 2026-04-30_Mine; rename it")
    found = audit(folder, track, against)
    files, left_out = read_folder(folder, found)
    clone = Clone(repo)
    start, commit = clone.base(base)
    path = f"{_track_folder(clone, commit, start, found.track)}/{name}"
    if clone.tree_of(commit, path):
        raise BadInput(f"{path} is in {start} already: give the folder another name")
    if not anyway:
        _check_passes(found, folder)
    headline, text = title(found), body(found, path)
    message = f"{headline}\n\nAdds {path}.\n"
    branch = branch or f"record/{_slug(name)}"
    gone = _check_same_record(clone, branch, path, files)
    committed = clone.commit_folder(path, files, branch, commit, message)
    remarks = [*_remarks(found, clone, left_out), *gone]
    sizes = tuple((file.name, len(file.content)) for file in files)
    day = clone.day_of(commit)
    return Submitted(committed, start, day, path, sizes, tuple(left_out), headline, text, tuple(remarks), clone)


def _track_folder(clone: Clone, commit: str, start: str, track: Track) -> str:
    """The folder of the archive that records of this track lie in."""
    there = clone.folders(commit, "records")
    if not there:
        raise BadInput(f"{clone.path}: no folder records/ in {start}: give a clone of the archive with --repo")
    names = [n for n in there if track.name in (tracks.recognised(n), n.removeprefix("track_"))]
    if len(names) == 1:
        return f"records/{names[0]}"
    shown = ", ".join(map(printable, there[:SHOWN]))
    raise BadInput(
        f"{clone.path}: {'several folders' if names else 'no folder'} of track {track.name} in records/ of {start} "
        f"({shown}); give a clone of the archive of that track with --repo, or another track with --track"
    )


def _check_same_record(clone: Clone, branch: str, path: str, files: Sequence[File]) -> list[str]:
    """Refuse to put a record's folder in the place of another record's of the same name; else say in a sentence which
    of its files are gone. It is the same record if it has the same plan.json, which is never rewritten; where a side
    has none, if most of its logs are there still."""
    tip = clone.tip(branch)
    there = clone.files(tip, path) if tip else {}
    here = {file.name: file.content for file in files}
    logs = [of for name, of in there.items() if is_log_name(name.rpartition("/")[2])]
    compared = [content for name, content in here.items() if name == PLAN or is_log_name(name.rpartition("/")[2])]
    hashes = {clone.hash_of(content) for content in compared} if there else set()
    kept = sum(of in hashes for of in logs)
    planned = PLAN in there and PLAN in here
    same = there.get(PLAN) in hashes if planned else 2 * kept > len(logs)
    if kept < len(logs) and not same:
        raise BadInput(
            f"branch {branch} has another record in {path}, with other logs, which this one would replace: rename "
            f"this folder, so that both can be submitted; to give up the one that is there, delete its branch, `git -C "
            f"{shlex.quote(str(clone.path))} branch -D {shlex.quote(branch)}`"
        )
    gone = [printable(name) for name in there if name not in here]
    return [f"no longer there: {_first(gone)}"] if gone else []


def _check_passes(found: Audited, folder: Path) -> None:
    failed = [printable(f"{c.id}: {c.message}", MOST_SHOWN) for c in found.checks if c.status == "fail"]
    if failed:
        more = [f"… and {len(failed) - SHOWN} more"] if len(failed) > SHOWN else []
        todo = (
            f"`pgolf audit --draft {shlex.quote(str(folder))}` says what to do; with --anyway the body says what fails"
        )
        raise RunFailed("\n".join(["not committed, for a check fails:", *failed[:SHOWN], *more, todo]))


def _remarks(found: Audited, clone: Clone, left_out: Sequence[str]) -> Iterator[str]:
    failed = sum(check.status == "fail" for check in found.checks)
    if failed:
        yield f"{counted(failed, 'check')} fail{'s' * (failed == 1)}; the body says so"
    if isinstance(found, Audit) and found.track.record and found.comparison is None:
        yield "not tested against a record to beat: name it with --against"
    if isinstance(found, Audit) and found.track.record and (better := better_than_beaten(found)):
        yield f"{better.name} stands by pgolf's ledger, and is better than the record that was compared with"
    if left_out:
        yield f"left out: {_first(left_out)}"
    if clone.signs():
        yield "the commit is not signed, though commit.gpgSign is set"


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _slug(name: str) -> str:
    """A folder's name as a part of a branch's.

    >>> _slug("2026-04-30_SP8192 + Legal..TTT.lock")
    '2026-04-30_SP8192-Legal.TTT-lock'
    """
    words = re.sub(r"\.{2,}", ".", re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII)).strip("-.")
    return re.sub(r"\.lock$", "-lock", words) or "submission"


def read_folder(folder: Path, found: Audited) -> tuple[list[File], list[str]]:
    """The files that are submitted, and the names of those that are not: hidden files, and models and caches, unless
    submission.json names them as code.

    Raises
    ------
    BadInput : a link, a file that is none, over 100 MiB or of a name that does not fit, or too many of them.
    """
    claims = found.entry.claims if isinstance(found, Audit) else None
    named = {*claims.code, *([claims.program] if claims.program else [])} if claims else set()
    files: list[File] = []
    left_out: list[str] = []
    left = MOST_BYTES
    for name in _walk(folder, "", named, left_out):
        if not stays_inside(name):
            raise BadInput(f"{folder}: the name {name!r} cannot be submitted; rename it")
        content = read_bytes(folder / name, min(MOST_FILE_BYTES, left), folder)
        left -= len(content)
        executable = bool(os.stat(folder / name).st_mode & stat.S_IXUSR)
        files.append(File(name, content, executable))
        if len(files) > MOST_FILES:
            raise BadInput(f"{folder}: over {MOST_FILES:,} files; a submission has a few")
    if not files:
        raise BadInput(f"{folder}: no file to submit")
    return files, left_out


def _walk(folder: Path, below: str, named: set[str], left_out: list[str]) -> Iterator[str]:
    """Paths of the files of a folder, in order; `left_out` gets the others."""
    if below.count("/") >= DEEPEST:
        raise BadInput(f"{folder / below}: over {DEEPEST} folders inside one another; a submission has one")
    for entry in list_folder(folder / below, MOST_FILES * 2):
        name = f"{below}/{entry.name}" if below else entry.name
        if entry.is_symlink():
            raise BadInput(f"{folder / name}: a link; put the file itself there, or remove it")
        left_by_name = name not in named and any(fnmatchcase(entry.name, pattern) for pattern in LEFT_OUT)
        if left_by_name or entry.name.startswith("."):
            left_out.append(name)
        elif entry.is_dir(follow_symlinks=False):
            yield from _walk(folder, name, named, left_out)
        else:
            yield name
