"""The record folders that a pull request touches: their names go to FILE, each ended by a NUL, their number to stdout.

    python touched.py FILE

Run in a checkout, with PATHS, BASE and EVENT_BASE in the environment as action.yml gives them. Names come from a
stranger: they are read as bytes between NULs, never by a shell, and no link is followed out of the repository.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from pgolf.audit.archive import record_folders
from pgolf.audit.belonging import speedrun_track
from pgolf.errors import BadInput
from pgolf.evidence.entry import read_entry
from pgolf.evidence.folder import LOG_SUFFIXES, NO_LOG
from pgolf.report.annotations import command

MOST_BYTES = 1 << 24  # of names that git lists
MOST_FOLDERS = 300
TOP = PurePosixPath(".")


def git(*arguments: str) -> bytes:
    """What git prints, up to MOST_BYTES; b'' if it fails."""
    with subprocess.Popen(["git", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        said = process.stdout.read(MOST_BYTES + 1)
        if len(said) > MOST_BYTES:
            process.kill()
            warn("the pull request touches too many files to look at all of them")
            return said[: said.rindex(b"\0") + 1]
    return said if process.returncode == 0 else b""


def base() -> str:
    """The commit to compare with: as asked for, else the parent that a merge commit of GitHub's is made onto, else the
    base of the pull request, or what it has in common with what is checked out."""
    asked, event = os.environ.get("BASE", ""), os.environ.get("EVENT_BASE", "")
    # `git cat-file` shows the parents also in a checkout of one commit, which has no history
    parents = re.findall(rb"(?m)^parent ([0-9a-f]{40,64})$", git("cat-file", "commit", "HEAD").partition(b"\n\n")[0])
    merged_onto = parents[0].decode() if len(parents) == 2 else ""
    commit = asked or (merged_onto if event else "") or event
    if not commit or commit.startswith("-"):
        sys.exit(command("error", "this is no pull request: give the input base, a commit to compare with"))
    if not git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"):
        git("fetch", "--quiet", "--no-tags", "--depth=1", "origin", commit)
        commit = commit if re.fullmatch(r"[0-9a-f]{40,64}", commit) else "FETCH_HEAD"
    if not git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"):
        sys.exit(command("error", "there is no commit to compare with: check out with fetch-depth: 0"))
    return git("merge-base", commit, "HEAD").decode().strip() or commit


def touched(commit: str) -> Iterator[PurePosixPath]:
    """The files that differ from `commit`."""
    for name in git("diff", "--name-only", "--no-renames", "--no-ext-diff", "-z", commit, "HEAD", "--").split(b"\0"):
        if name:
            yield PurePosixPath(os.fsdecode(name))


def record_of(file: PurePosixPath, roots: list[PurePosixPath]) -> PurePosixPath | None:
    """The record folder that a file lies in: the nearest with a submission.json; else a speedrun's, whose logs may lie
    in its variants' folders; else the nearest with logs, the trainer's if they lie in a folder below it."""
    above = [p for p in file.parents if any(p.is_relative_to(root) for root in roots) and is_folder(p)]
    for folder in above:
        if any(Path(folder).glob("submission*.json")):
            return folder
    if speedrun := next((p for p in reversed(above) if is_speedrun(p)), None):
        return speedrun
    for number, folder in enumerate(above):
        if any(map(is_log, Path(folder).iterdir())) and folder != TOP:
            return next((p for p in above[number:] if any(Path(p).glob("train_gpt*.py")) and p != TOP), folder)
    return None


def is_folder(folder: PurePosixPath) -> bool:
    """Whether it is a folder of the repository that is reached through no link."""
    return Path(folder).is_dir() and Path(folder).resolve() == Path.cwd().resolve() / folder


def is_speedrun(folder: PurePosixPath) -> bool:
    """Whether it is a record's folder of a track whose aim is a target loss."""
    if folder == TOP or not speedrun_track(Path(folder)):
        return False
    with suppress(BadInput):
        return record_folders(Path(folder)) == [Path(folder)]
    return False


def is_log(file: Path) -> bool:
    return file.suffix.lower() in LOG_SUFFIXES and not NO_LOG.match(file.name) and not file.is_symlink()


def is_record(folder: PurePosixPath) -> bool:
    """Whether there is something to audit: a submission.json, or logs that tell of a run."""
    if any(Path(folder).glob("submission*.json")):
        return True
    if is_speedrun(folder):
        return True
    try:
        return bool(read_entry(Path(folder)).runs)
    except BadInput:
        return False


def roots() -> list[PurePosixPath]:
    """The folders that hold records."""
    lines = [line.strip() for line in os.environ.get("PATHS", "").splitlines()]
    return [PurePosixPath(line) for line in lines if line]


def warn(text: str) -> None:
    print(command("warning", text, title="pgolf"), file=sys.stderr)


def main() -> None:
    held = roots()
    found = dict.fromkeys(record_of(file, held) for file in touched(base()))
    folders = sorted(os.fsencode(folder) for folder in found if folder and is_record(folder))
    if len(folders) > MOST_FOLDERS:
        warn(f"the pull request touches {len(folders)} record folders; the first {MOST_FOLDERS} are audited")
    Path(sys.argv[1]).write_bytes(b"".join(name + b"\0" for name in folders[:MOST_FOLDERS]))
    print(len(folders[:MOST_FOLDERS]))


if __name__ == "__main__":
    main()
