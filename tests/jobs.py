"""Jobs of seeds with small programs in the trainer's place."""

from pathlib import Path
from typing import Any

from pgolf.record.job import Job
from pgolf.record.programs import PACKED, own_program


def job(folder: Path, code: str | bytes, environment: dict[str, str] | None = None, **options: Any) -> Job:
    """A job whose seeds run `code` in `folder`; the file lies beside it."""
    content = code.encode() if isinstance(code, str) else code
    folder.parent.mkdir(parents=True, exist_ok=True)
    (folder.parent / PACKED).write_bytes(content)
    return Job("seed", folder, own_program(content, "test", {}), folder.parent, environment or {}, **options)
