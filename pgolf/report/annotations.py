"""An audit as GitHub's workflow commands: each becomes an annotation at the file and line that shows it.

The runner obeys every line that begins with `::`, so a stranger's words must never begin one, nor end a field.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from pgolf.audit.audit import Audited
from pgolf.audit.checks import Status
from pgolf.audit.target import TargetAudit
from pgolf.evidence.lines import printable

LEVELS: dict[Status, str] = {"fail": "error", "warn": "warning"}
MAX_MESSAGE_CHARS = 2000


def annotations(audit: Audited, root: Path) -> str:
    """A command for each check that fails or warns, failures first; `root` is the folder of the repository."""
    return "".join(f"{line}\n" for status in LEVELS for line in _of(audit, status, root))


def _of(audit: Audited, status: Status, root: Path) -> Iterator[str]:
    for check in audit.checks:
        if check.status == status:
            place = check.evidence[0] if check.evidence else None
            name = place.file if place else _any_file(audit)
            where = {"file": _path(audit.folder / name, root)} if name else {}
            where |= {"line": str(place.line)} if place else {}
            message = f"{audit.folder.resolve().name}: {check.message}"
            yield command(LEVELS[status], message, **where, title=f"pgolf: {check.id}")


def _any_file(audit: Audited) -> str | None:
    """A file of the folder to hang a finding on that no line shows: something is missing."""
    if isinstance(audit, TargetAudit):
        return next((n for n in ("README.md", *audit.found.sizes) if n in audit.found.sizes), None)
    sizes = audit.entry.sizes
    return next((n for n in (audit.entry.claims.file, "README.md", *sizes) if n and n in sizes), None)


def _path(file: Path, root: Path) -> str:
    """The file as the repository names it; as it is where it lies outside."""
    relative = os.path.relpath(file, root)
    return str(file) if relative.startswith("..") else Path(relative).as_posix()


def command(name: str, message: str, **properties: str) -> str:
    """One workflow command.

    Examples
    --------
    >>> command("error", "100 %", file="a,b.log", line="3")
    '::error file=a%2Cb.log,line=3::100 %25'
    """
    fields = ",".join(f"{key}={_property(text)}" for key, text in properties.items())
    return f"::{name}{' ' * bool(fields)}{fields}::{_data(printable(message, MAX_MESSAGE_CHARS))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(printable(text, MAX_MESSAGE_CHARS)).replace(":", "%3A").replace(",", "%2C")
