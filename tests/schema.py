"""The check of a trainer's events.jsonl against the schema."""

import json
from pathlib import Path

from pgolf.evidence.event_schema import decode

OLD = {"data": {"val_sha256"}}  # keys of version 0.1


def check_schema(path: Path) -> set[str]:
    """Assert that every line of a trainer's file is an event, has the schema's keys and no fact of a wrong type."""
    lines = path.read_text().splitlines()
    assert lines
    for line in lines:
        told, event = json.loads(line), decode(line)
        assert event is not None, line
        assert told.keys() <= {"event", *event._fields}, line
        assert [key for key in told.keys() - {"event"} if getattr(event, key) is None] == [], line
        missing = set(event._fields) - told.keys() - OLD.get(told["event"], set())
        assert missing <= ({"scored_sha256"} if "val_sha256" in told else set()), line
    return {json.loads(line)["event"] for line in lines}
