"""What submission.json leaves to its author: placeholders that are still in it, and a day that is yet to come."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pgolf.audit.audit import Audit, Audited
from pgolf.audit.belonging import day_of
from pgolf.audit.checks import Check
from pgolf.audit.remedies import Point
from pgolf.evidence.claims import Claims
from pgolf.evidence.run import Evidence
from pgolf.untrusted import Untrusted, parse_json

SUMMARIES = ("technique_summary", "summary", "blurb", "description")  # keys of what is new
UNKNOWN = ("", "unknown")  # words that stand for an author who was not named
FILL = "Fill them in in submission.json, or let pgolf write them: --author, --github-id and --summary."
DATE = "Give the day of the submission, in submission.json and in the folder's name."


def placeholders(audit: Audited, today: date | None = None) -> list[Point]:
    """Points on a record's papers that no check is of, each a warning: nothing of it is wrong about the runs."""
    found = []
    claims = audit.entry.claims if isinstance(audit, Audit) else Claims()
    if left := list(_left(claims)):
        said = f"still to be filled in: {', '.join(left)}"
        found.append(Point(Check("placeholders", "warn", said, tuple(_places(claims, left))), FILL))
    day = day_of(audit.entry) if isinstance(audit, Audit) else audit.day
    latest = (today or datetime.now(UTC).date()) + timedelta(days=1)  # somewhere it is tomorrow already
    days = sorted({d for d in (day, _day(claims.date)) if d and d > latest})
    if days:
        said = f"dated in the future: {', '.join(map(str, days))}"
        found.append(Point(Check("date", "warn", said, tuple(_places(claims, ["date"]))), DATE))
    return found


def _left(claims: Claims) -> Iterator[str]:
    """The keys of submission.json that hold a placeholder. One that is not there is no placeholder."""
    try:
        content = parse_json(claims.text, "submission.json", number=str)
    except Untrusted:
        return
    known: dict[str, Any] = content if isinstance(content, dict) else {}
    words = {key: value.strip() for key, value in known.items() if isinstance(value, str)}
    if words.get("author", "someone").lower() in UNKNOWN:
        yield "author"
    if words.get("github_id", "someone").lower() in UNKNOWN:
        yield "github_id"
    if not any(words.get(key) for key in SUMMARIES):
        yield from (key for key in SUMMARIES if key in words)


def _places(claims: Claims, keys: list[str]) -> Iterator[Evidence]:
    for number, line in enumerate(claims.text.splitlines(), 1):
        if claims.file and any(line.lstrip(" {").startswith(f'"{key}"') for key in keys):
            yield Evidence(claims.file, number)


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None
