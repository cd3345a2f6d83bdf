"""A clone of an archive, changed by git's plumbing alone: one folder is committed to a branch of its own.

The user's branch, index and files are not touched: trees are put together in an index of our own, and the branch
appears when all is there. Nothing that the clone's configuration names is run: no hook, filter, editor or key. No
network is used.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pgolf.errors import BadInput, RunFailed
from pgolf.evidence.lines import printable

SECONDS = 120.0  # for one call of git
MOST_OUTPUT = 64 << 20  # bytes that git may print
SAFE = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.editor": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "protocol.allow": "never",  # a clone without all its objects would fetch them
    "log.showSignature": "false",
}
OF_THE_AUTHOR = re.compile(r"GIT_(?:AUTHOR|COMMITTER)_(?:NAME|EMAIL|DATE)|GIT_CONFIG_(?:GLOBAL|SYSTEM|NOSYSTEM)")
BASES = [
    *(f"refs/remotes/{remote}/{name}" for remote in ("upstream", "origin") for name in ("HEAD", "main", "master")),
    *("refs/heads/main", "refs/heads/master", "HEAD"),
]
ON_GITHUB = re.compile(r"(?:^|[@/])github\.com[:/]([\w.-]{1,100})/([\w.-]{1,100}?)(?:\.git)?/?$")


@dataclass(frozen=True)
class File:
    """A file to commit: its path below the folder, its content, and whether it can be executed."""

    name: str
    content: bytes
    executable: bool = False


@dataclass(frozen=True)
class Committed:
    """A branch with the folder on it. `new` unless it was there already, the same; `parent` is the commit before."""

    branch: str
    commit: str
    parent: str
    new: bool


class Clone:
    """The clone at a path.

    Raises
    ------
    BadInput : git is not installed, or this is no clone.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise BadInput(f"no folder {path}: give the clone of the archive with --repo")
        self.path = self._root = path
        self._root = Path(self._git("rev-parse", "--show-toplevel", bad="no clone of the archive").strip())

    def base(self, name: str | None = None) -> tuple[str, str]:
        """(name, commit) of what a new branch starts from: the one that is named, or the archive's main branch as it
        was last fetched. BadInput if there is none."""
        for ref in [name] if name else BASES:
            found = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
            if found.returncode == 0:
                return ref.removeprefix("refs/remotes/").removeprefix("refs/heads/"), found.stdout.decode().strip()
        raise BadInput(f"{self.path}: {f'no commit {name!r}' if name else 'no commit to start from'}; see --base")

    def day_of(self, commit: str) -> str:
        """The day of a commit, YYYY-MM-DD."""
        return self._git("show", "--no-patch", "--no-notes", "--format=%cs", commit).strip()[:10]

    def folders(self, commit: str, path: str) -> list[str]:
        """Names of the folders in a folder of a commit, submodules left out; empty where there is no such folder."""
        listed = self._git("ls-tree", "-z", "-d", commit, f"{path}/").split("\0")
        entries = [entry.partition("\t") for entry in listed if entry]
        return [name.rpartition("/")[2] for facts, _, name in entries if facts.split()[1] == "tree"]

    def tree_of(self, commit: str, path: str) -> str | None:
        """The hash of a folder in a commit; None: it is not there."""
        listed = self._git("ls-tree", "-z", commit, path)
        return listed.split("\t")[0].split()[2] if listed else None

    def files(self, commit: str, path: str) -> dict[str, str]:
        """The hash of each file below a folder of a commit, by its path there; empty where there is no such folder."""
        listed = self._git("ls-tree", "-r", "-z", commit, f"{path}/").split("\0")
        entries = [entry.partition("\t") for entry in listed if entry]
        return {name.removeprefix(f"{path}/"): facts.split()[2] for facts, _, name in entries}

    def hash_of(self, content: bytes) -> str:
        """The hash that a file of this content has in the clone."""
        return self._git("hash-object", "--no-filters", "--stdin", given=content).strip()

    def changed(self, base: str, commit: str) -> list[str]:
        """Paths in which a commit differs from what it has in common with `base`."""
        common = self._run("merge-base", base, commit)
        start = common.stdout.decode().strip() if common.returncode == 0 else base
        listed = self._git("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--no-ext-diff", start, commit)
        return [name for name in listed.split("\0") if name]

    def tip(self, branch: str) -> str | None:
        """The commit of a local branch; None: there is none. BadInput for a name that no branch can have."""
        self._git("check-ref-format", "--branch", branch, bad=f"{branch!r} is no name of a branch; see --branch")
        found = self._run("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}^{{commit}}")
        return found.stdout.decode().strip() if found.returncode == 0 else None

    def checked_out(self, branch: str) -> Path | None:
        """The working tree that has a branch checked out; None: none has."""
        where: Path | None = None
        for line in self._git("worktree", "list", "--porcelain").splitlines():
            if line.startswith("worktree "):
                where = Path(line.removeprefix("worktree "))
            elif line == f"branch refs/heads/{branch}":
                return where
        return None

    def author(self) -> str:
        """Name and address of the author; BadInput where git does not know them."""
        found = self._run("-c", "user.useConfigOnly=true", "var", "GIT_AUTHOR_IDENT")
        committer = self._run("-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT")
        if found.returncode or committer.returncode:
            raise BadInput(
                "git does not know who you are: give it git config --global user.name NAME, and user.email ADDRESS"
            )
        return printable(found.stdout.decode(errors="replace").rpartition(">")[0] + ">")

    def signs(self) -> bool:
        """Whether the user has git sign commits."""
        return self._run("config", "--type=bool", "commit.gpgSign").stdout.strip() == b"true"

    def archive(self) -> str | None:
        """owner/name on GitHub of the archive that the clone, or the fork that it is of, comes from; None: unknown."""
        return next((name for name in map(self.on_github, ("upstream", "origin")) if name), None)

    def on_github(self, remote: str) -> str | None:
        """owner/name on GitHub of a remote; None: it is elsewhere, or there is none. The rest of its address may have a
        password in it."""
        address = self._run("config", f"remote.{remote}.url").stdout.decode(errors="replace").strip()
        found = ON_GITHUB.search(address)
        return f"{found[1]}/{found[2]}" if found else None

    def commit_folder(self, path: str, files: Sequence[File], branch: str, base: str, message: str) -> Committed:
        """Commit `files` as the whole folder `path` on a branch, which starts from `base` if it is not there yet.

        Raises
        ------
        BadInput : the branch is checked out, or was not made for this folder; no author is known.
        RunFailed : git failed, or the branch moved meanwhile.
        """
        self.author()
        tip = self.tip(branch)
        changed = self.changed(base, tip) if tip else []
        if elsewhere := [name for name in changed if not name.startswith(f"{path}/")]:
            raise BadInput(
                f"branch {branch} changes other files, too: {printable(elsewhere[0])}; give another one with --branch"
            )
        if tip and not changed:
            raise BadInput(f"branch {branch} is there already, without {path}; give another one with --branch")
        parent = tip or base
        tree = self._tree(parent, path, files)
        if tip and self.tree_of(tree, path) == self.tree_of(tip, path):
            return Committed(branch, tip, self._git("rev-parse", f"{tip}^").strip(), new=False)
        if tip and (where := self.checked_out(branch)):
            raise BadInput(f"branch {branch} is checked out in {where}: check out another one there, and come again")
        made = self._git("commit-tree", "--no-gpg-sign", tree, "-p", parent, "-F", "-", given=message.encode()).strip()
        self._git("update-ref", "-m", "pgolf submit", f"refs/heads/{branch}", made, tip or "0" * len(made))
        return Committed(branch, made, parent, new=True)

    def _tree(self, parent: str, path: str, files: Sequence[File]) -> str:
        """The hash of the tree of `parent` with the folder as it is to be."""
        blobs = [self._git("hash-object", "-w", "--no-filters", "--stdin", given=f.content).strip() for f in files]
        old = [name for name in self._git("ls-tree", "-r", "-z", "--name-only", parent, f"{path}/").split("\0") if name]
        none = "0" * len(parent)
        lines = [f"0 {none}\t{name}\0" for name in old]
        lines += [
            f"{'100755' if file.executable else '100644'} {blob}\t{path}/{file.name}\0"
            for file, blob in zip(files, blobs, strict=True)
        ]
        with tempfile.TemporaryDirectory(prefix="pgolf-") as room:
            own = {"GIT_INDEX_FILE": str(Path(room) / "index")}
            self._git("read-tree", parent, extra=own)
            self._git("update-index", "-z", "--index-info", given="".join(lines).encode(), extra=own)
            return self._git("write-tree", "--missing-ok", extra=own).strip()

    def _git(self, *words: str, given: bytes = b"", extra: Mapping[str, str] | None = None, bad: str = "") -> str:
        """What git prints; `bad`: its failure is the user's input's, which this says."""
        ran = self._run(*words, given=given, extra=extra)
        if ran.returncode == 0:
            return ran.stdout.decode(errors="surrogateescape")
        said = printable(ran.stderr.decode(errors="replace").strip().rpartition("\n")[2]) or f"exit {ran.returncode}"
        if bad:
            raise BadInput(f"{self.path}: {bad} (git: {said})")
        raise RunFailed(f"{self.path}: git {words[0]} failed: {said}")

    def _run(
        self, *words: str, given: bytes = b"", extra: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        safe = [word for name, text in SAFE.items() for word in ("-c", f"{name}={text}")]
        mine = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or OF_THE_AUTHOR.fullmatch(k)}
        fixed = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1"}
        command = ["git", "--no-pager", "--no-replace-objects", *safe, *words]
        environment = {**mine, **fixed, **(extra or {})}
        try:
            ran = subprocess.run(
                command, cwd=self._root, env=environment, input=given, capture_output=True, timeout=SECONDS
            )
        except FileNotFoundError:
            raise BadInput("git is not installed; submitting needs it") from None
        except subprocess.TimeoutExpired:
            raise RunFailed(f"{self.path}: git {words[0]} took over {SECONDS:g} s, and was ended") from None
        if len(ran.stdout) > MOST_OUTPUT:
            raise RunFailed(f"{self.path}: git {words[0]} printed over {MOST_OUTPUT >> 20} MiB; look at the clone")
        return ran
