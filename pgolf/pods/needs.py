"""What a program needs on the machine of a pod, beside Python, torch and the packages that pgolf installs."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pgolf.pods.names import checked_name

FOLDER = PurePosixPath("setup")  # programs' files for their setup, in a machine's work folder


@dataclass(frozen=True)
class Needs:
    """What a program needs on a machine.

    Attributes
    ----------
    modules : Python modules that must be importable.
    optional : Python modules that it uses where they are there; their versions are noted.
    commands : commands that must be on PATH.
    requirements : the file for `pip install --requirement`; None: there is none.
    setup : the shell script that makes a machine ready, run once; None: there is none.
    source : the folder here that the program's files lie in.
    files : SHA-256 by path relative to `source` of all of them: its setup may use any.
    """

    modules: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    requirements: str | None = None
    setup: str | None = None
    source: Path | None = None
    files: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.files:
            checked_name(name)

    @property
    def installs(self) -> bool:
        """Whether something of the program's runs on a machine before a seed does."""
        return bool(self.requirements or self.setup)

    @property
    def folder(self) -> PurePosixPath:
        """Where the program's files lie for its setup, in a machine's work folder; another one for other files."""
        return FOLDER / digest([self.requirements, self.setup, dict(self.files)])[:16]


def digest(value: object) -> str:
    """SHA-256 of a value that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
