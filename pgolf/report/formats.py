"""Audits in the formats of `pgolf audit`, written one by one, so that memory does not grow with their number."""

import io
import json
import os
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType

from pgolf.audit.audit import Audited, finite
from pgolf.audit.checks import Status
from pgolf.audit.many import Unreadable
from pgolf.audit.target import TargetAudit
from pgolf.report.annotations import annotations, command
from pgolf.report.audit_tables import audit_tables
from pgolf.report.columns import ENDLESS
from pgolf.report.draft import draft_markdown, draft_text
from pgolf.report.review import markdown
from pgolf.report.row import Row, row_of
from pgolf.report.speedrun_row import SpeedrunRow, speedrun_row_of
from pgolf.report.tally import Reached, reached, tally
from pgolf.report.target_review import target_markdown, target_result
from pgolf.report.target_tables import target_tables
from pgolf.report.words import code, inert

MOST_SUMMARY_BYTES = 900_000  # GitHub drops a summary of more than 1 MiB
MOST_UNREADABLE = 50  # folders that a summary names
COUNTED: tuple[Status, ...] = ("fail", "warn", "unknown", "pass")  # the columns of a summary
SUMMARY_HEAD = "| record | mean val_bpb | fail | warn | unknown | pass |\n|---|---:|---:|---:|---:|---:|\n"
SPEEDRUN_HEAD = "| speedrun | result | fail | warn | unknown | pass |\n|---|---|---:|---:|---:|---:|\n"


@dataclass(frozen=True)
class Terminal:
    """What a text is drawn for: `colors` as rich names it, None without; no `width` in a pipe: a row is a line."""

    width: int | None = 80
    colors: str | None = None


@dataclass(frozen=True)
class Shown:
    """An audit as it is printed.

    Attributes
    ----------
    worst : 'fail' or 'warn' if any check does, else 'pass'.
    text : in the format.
    row, section, head : of a GitHub job's summary, in Markdown; `head` is of the table that the row is in.
    audit : itself, where a page is to be made of it.
    reached : what its record reached, for the line below many; None of an archive's, whose rows have it.
    """

    worst: Status
    text: str
    row: str = ""
    section: str = ""
    head: str = ""
    audit: Audited | None = None
    reached: Reached | None = None


def show(format: str, terminal: Terminal, keep: bool, draft: bool, audit: Audited) -> Shown:
    """An audit in a format, as a `draft` or as it is; with `keep`, the audit too."""
    worst = _worst(audit)
    kept = audit if keep else None
    if format == "github":
        root = Path(os.environ.get("GITHUB_WORKSPACE") or ".")
        return Shown(worst, annotations(audit, root), row_of_summary(audit), _in_markdown(audit), head_of(audit), kept)
    if format == "text":
        drawn = _drawn(draft_text(audit) if draft else _tables(audit), terminal)
        return Shown(worst, drawn, audit=kept, reached=reached(_row(audit)))
    if format == "json":
        return Shown(worst, as_json(audit), audit=kept)
    return Shown(worst, draft_markdown(audit) if draft else _in_markdown(audit), audit=kept)


def _tables(audit: Audited) -> RenderableType:
    return target_tables(audit) if isinstance(audit, TargetAudit) else audit_tables(audit)


def _in_markdown(audit: Audited) -> str:
    return target_markdown(audit) if isinstance(audit, TargetAudit) else markdown(audit)


def _worst(audit: Audited) -> Status:
    found = {c.status for c in audit.checks}
    return "fail" if "fail" in found else "warn" if "warn" in found else "pass"


def show_row(format: str, keep: bool, audit: Audited) -> tuple[Row | SpeedrunRow | None, Shown]:
    """An audit in a format and, with `keep`, as a line of an archive."""
    return _row(audit) if keep else None, Shown(_worst(audit), as_json(audit) if format == "json" else "")


def _row(audit: Audited) -> Row | SpeedrunRow:
    return speedrun_row_of(audit) if isinstance(audit, TargetAudit) else row_of(audit)


def as_json(audit: Audited) -> str:
    """One entry of `records`; NaN and infinity, which JSON does not know, are null."""
    return json.dumps(finite(audit.as_json()), indent=2, allow_nan=False)


def _drawn(what: RenderableType, terminal: Terminal) -> str:
    colors: Any = terminal.colors  # rich names the words that it takes by a type of its own
    drawn = io.StringIO()
    console = Console(
        file=drawn,
        width=terminal.width or ENDLESS,
        color_system=colors,
        force_terminal=terminal.width is not None,
    )
    console.print(what, end="\n\n", crop=False)
    text = drawn.getvalue()
    return text if terminal.width else "\n".join(line.rstrip() for line in text.split("\n"))


class Writer:
    """Writes audits one by one in a format; knows how they ended, and which folders could not be read."""

    def __init__(self, format: str, out: Callable[[str], object], width: int | None = None) -> None:
        """`width`: columns of a terminal."""
        self.format, self.out, self.width = format, out, width
        self.worst: Counter[Status] = Counter()
        self.unreadable: list[Unreadable] = []
        self.summary = Summary()
        self.audits: list[Audited] = []
        self.reached: list[Reached] = []
        if format == "json":
            out('{\n  "records": [')

    def add(self, result: Shown | Unreadable) -> None:
        """Write one."""
        if isinstance(result, Unreadable):
            self.unreadable.append(result)
            if self.format == "github":
                self.out(command("error", result.problem, title="pgolf: cannot be read") + "\n")
            return
        if self.format == "json":
            self.out(f"{',' if self.worst else ''}\n    " + result.text.replace("\n", "\n    "))
        else:
            self.out("\n" * bool(self.worst and self.format != "github" and result.text) + result.text)
        self.worst[result.worst] += 1
        if self.format == "github":
            self.summary.add(result)
        if result.reached:
            self.reached.append(result.reached)
        if result.audit:
            self.audits.append(result.audit)

    def end(self) -> None:
        """Write what comes after the last one."""
        if self.format == "json":
            problems = json.dumps([u.as_json() for u in self.unreadable], indent=2).replace("\n", "\n  ")
            self.out(("\n  " if self.worst else "") + f'],\n  "unreadable": {problems}\n}}\n')
        elif self.format == "markdown" and self.unreadable:
            self.out("\n" * bool(self.worst) + not_read(self.unreadable))
        elif self.format == "github":
            self.out(f"pgolf: {self.said()}\n")
        elif len(self.reached) > 1:
            said = tally(self.reached, len(self.unreadable))
            if self.width:
                said = [line for text in said for line in textwrap.wrap(text, self.width)]
            self.out("\n" + "\n".join(said) + "\n")

    def said(self) -> str:
        """How the audits ended, in numbers."""
        total = sum(self.worst.values())
        words = [
            f"{total} record{'s' * (total != 1)} audited",
            f"{self.worst['fail']} fail",
            f"{self.worst['warn']} warn",
        ]
        return ", ".join(words + [f"{len(self.unreadable)} could not be read"] * bool(self.unreadable))

    def failed(self, on: str = "fail") -> bool:
        """Whether a record fails, or, if that is asked for, warns."""
        return on != "never" and bool(self.worst["fail"] or (on == "warn" and self.worst["warn"]))


class Summary:
    """The summary of a GitHub job: a table of the records, and a section for each as far as GitHub takes them."""

    def __init__(self) -> None:
        self.rows: dict[str, list[str]] = {}  # of each table, by its head
        self.sections: list[str] = []
        self.bytes = self.left_out = 0

    def add(self, shown: Shown) -> None:
        """Add a record, unless the summary is full."""
        size = len(f"{shown.row}{shown.section}".encode())
        if self.bytes + size > MOST_SUMMARY_BYTES:
            self.left_out += 1
            return
        self.bytes += size
        self.rows.setdefault(shown.head, []).append(shown.row)
        self.sections.append(shown.section)

    def text(self, title: str, unreadable: Sequence[Unreadable]) -> str:
        """The summary in Markdown."""
        parts = [f"## pgolf audit: {title}\n"]
        if len(self.sections) > 1:
            parts += ["".join([head, *rows]) for head, rows in self.rows.items()]
        parts += self.sections
        if self.left_out:
            parts.append(f"{self.left_out} more records are left out: GitHub takes no longer summary.\n")
        if unreadable:
            parts.append(not_read(unreadable[:MOST_UNREADABLE]))
        return "\n".join(parts)


def not_read(unreadable: Iterable[Unreadable]) -> str:
    """The folders that could not be read, in Markdown."""
    return "Could not be read:\n\n" + "".join(f"- {code(u.folder)}: {inert(u.problem)}\n" for u in unreadable)


def row_of_summary(audit: Audited) -> str:
    """A row of the summary's table."""
    counts = Counter(c.status for c in audit.checks)
    if isinstance(audit, TargetAudit):
        result = target_result(audit)
    else:
        result = "unknown" if audit.mean_val_bpb is None else f"{audit.mean_val_bpb:.5f}"
    numbers = " | ".join(str(counts[status]) for status in COUNTED)
    return f"| {code(audit.folder.resolve().name)} | {result} | {numbers} |\n"


def head_of(audit: Audited) -> str:
    """The head of the table that its row is in."""
    return SPEEDRUN_HEAD if isinstance(audit, TargetAudit) else SUMMARY_HEAD


def append_summary(path: Path, text: str) -> None:
    """Append to the file that GITHUB_STEP_SUMMARY names, as other steps do."""
    with path.open("a", encoding="utf-8") as f:
        f.write(text + "\n")
