"""Whose program it is that is to run: a record's folder may be anybody's, so that its program runs only if the user
has agreed.

A script and an ordinary folder count as the user's own. A record's folder does not, not even one that pgolf made here:
a folder can say of itself whatever it likes. Programs that were agreed to are kept by their hash in the user's own
configuration, never in the folder.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pgolf.errors import BadInput
from pgolf.evidence.claims import read_claims
from pgolf.evidence.lines import printable
from pgolf.files import write_atomic
from pgolf.pods.allowed import CONFIG
from pgolf.program import Program
from pgolf.program.logged import entry_of
from pgolf.untrusted import read_text

AGREED = CONFIG / "agreed.txt"  # a line each: hash of the program's files, and the folder that it was in
MOST_AGREED = 1 << 20  # bytes of that file
MOST_SHOWN = 200  # characters of a stranger's words


@dataclass(frozen=True)
class Stranger:
    """A program from a record's folder. `files` are SHA-256 by path, `size` is the script's bytes, `author` and `name`
    are as its submission.json has them."""

    folder: Path
    script: str
    files: Mapping[str, str]
    size: int
    author: str | None
    name: str | None

    @property
    def fingerprint(self) -> str:
        """A hash of all files that run."""
        return hashlib.sha256(json.dumps(dict(self.files), sort_keys=True).encode()).hexdigest()

    def __str__(self) -> str:
        more = f" and {len(self.files) - 1} more files" if len(self.files) > 1 else ""
        by = f"of '{self.name or 'no name'}' by {self.author or 'an unknown author'}, as its submission.json says"
        said = by if self.name or self.author else "whose author no submission.json names"
        return (
            f"{self.folder} is a record's folder, and its program runs: {self.script} ({self.size:,} bytes, SHA-256 "
            f"{self.files[self.script]}){more}, {said}"
        )


def stranger_of(path: Path, program: Program) -> Stranger | None:
    """Whose program lies at `path`, a file or folder; None where it counts as the user's own."""
    folder = path if path.is_dir() else path.parent
    claims = read_claims(folder)
    if claims.file is None and (not path.is_dir() or entry_of(folder.resolve()) is None):
        return None
    author, name = (printable(word, MOST_SHOWN) if word else None for word in (claims.author, claims.name))
    return Stranger(folder, program.script, program.hashes, len(program.files[program.script]), author, name)


def check_trusted(path: Path, program: Program, trusted: bool) -> None:
    """BadInput for a program from a record's folder, unless whoever starts it has said that it is `trusted`."""
    if not trusted and (stranger := stranger_of(path, program)):
        raise BadInput(f"{stranger}. Read it, then say with --yes (in a deployment: trust_program) that it may run")


def is_agreed(stranger: Stranger) -> bool:
    """Whether the user has agreed before to exactly these files."""
    try:
        lines = read_text(AGREED, MOST_AGREED, errors="replace").splitlines()
    except BadInput:
        return False
    return any(line.partition(" ")[0] == stranger.fingerprint for line in lines)


def agree(stranger: Stranger) -> None:
    """Keep that the user has agreed to these files; where that cannot be written, they are asked again."""
    try:
        before = read_text(AGREED, MOST_AGREED, errors="replace")
    except BadInput:
        before = ""
    with suppress(OSError):
        AGREED.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(AGREED, f"{before}{stranger.fingerprint} {printable(str(stranger.folder.resolve()))}\n")
