"""A record before it is submitted: what a reviewer will say, most serious first, and what to do about each."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from pgolf.audit.audit import Audited
from pgolf.audit.checks import Status
from pgolf.audit.placeholders import placeholders
from pgolf.audit.remedies import GRAVITY, Point, points
from pgolf.audit.target import TargetAudit
from pgolf.evidence.lines import printable
from pgolf.evidence.run import Evidence
from pgolf.phrases import ended
from pgolf.report.audit_tables import LIGHTS, MAX_MESSAGE_CHARS, where
from pgolf.report.review import SIGNS, places
from pgolf.report.target_rows import remarks
from pgolf.report.words import code, inert

WORDS: dict[Status, tuple[str, str]] = {
    "fail": ("failure", "failures"),
    "warn": ("warning", "warnings"),
    "unknown": ("thing that no log shows", "things that no log shows"),
}


def draft_text(audit: Audited) -> RenderableType:
    """The points, for a terminal."""
    parts: list[RenderableType] = [
        Text(f"{printable(str(audit.folder))} · track {audit.track.name} · before submitting", style="bold")
    ]
    found = _points(audit)
    parts += [Text(sentence) for sentence in (_tally(found, applying(audit)), *_comparison(audit))]
    for number, point in enumerate(found, 1):
        light, style = LIGHTS[point.check.status]
        head = Text.assemble(f"\n{number}. ", (light, style), (f" {point.check.id}", "bold"))
        said = Text(printable(point.check.message, MAX_MESSAGE_CHARS))
        if point.check.evidence:
            said.append(f"  {where(point.check)}", "dim")
        parts += [
            head,
            Padding(said, (0, 0, 0, 3), expand=False),
            Padding(Text(f"→ {point.remedy}"), (0, 0, 0, 3), expand=False),
        ]
    return Group(*parts)


def draft_markdown(audit: Audited) -> str:
    """The points, in Markdown."""
    found = _points(audit)
    lines = [f"### {code(audit.folder.resolve().name)}, before submitting", "", f"Track {code(audit.track.name)}."]
    lines += [inert(sentence) for sentence in (_tally(found, applying(audit)), *_comparison(audit))]
    lines += [""] * bool(found)
    for number, point in enumerate(found, 1):
        check = point.check
        lines.append(f"{number}. {SIGNS[check.status]} **{check.id}**: {inert(check.message)}{_places(check.evidence)}")
        lines.append(f"   **To do:** {inert(point.remedy)}")
    return "\n".join(lines) + "\n"


def _points(audit: Audited) -> list[Point]:
    """Of the checks and of the papers, the most serious first."""
    found = [*points(audit.checks), *placeholders(audit)]
    return sorted(found, key=lambda point: GRAVITY.index(point.check.status))


def applying(audit: Audited) -> int:
    """How many checks apply on this track."""
    return sum(check.status != "does not apply" for check in audit.checks)


def _places(evidence: Sequence[Evidence]) -> str:
    return f" ({places(evidence)})" if evidence else ""


def _tally(found: Sequence[Point], checks: int) -> str:
    if not found:
        return f"A reviewer will find nothing to object to: all checks pass ({checks})."
    counts = Counter(point.check.status for point in found)
    said = [f"{counts[status]} {words[counts[status] != 1]}" for status, words in WORDS.items() if counts[status]]
    listed = " and ".join([", ".join(said[:-1]), said[-1]] if said[1:] else said)
    harmless = "" if counts["fail"] else " No check fails."
    return f"A reviewer will find {listed}.{harmless}"


def _comparison(audit: Audited) -> list[str]:
    """Whether it is better, where a record was named; how to name one, where it has to be one."""
    if isinstance(audit, TargetAudit):
        return [ended(sentence) for sentence in remarks(audit)]
    if audit.comparison:
        advice = "" if audit.comparison.clears else " `pgolf power` computes how many seeds would settle it."
        return [f"Against {audit.comparison.old.label}: {ended(audit.comparison.verdict)}{advice}"]
    if not audit.track.record:
        return []
    return [
        f"Not compared with the record to beat: {ended(audit.no_comparison)} To compare: --against auto, or its name."
    ]
