"""Programs that pods run in place of a trainer."""

from pathlib import Path

PROGRAMS = Path(__file__).parents[1] / "programs"


def bad_program(folder: Path, more: str = "") -> Path:
    """bad.py as a user's program, started plainly; `more` of its program.toml."""
    folder.mkdir()
    (folder / "train_gpt.py").write_bytes((PROGRAMS / "bad.py").read_bytes())
    (folder / "program.toml").write_text('command = ["python", "{script}"]\n' + more)
    return folder


# A run that writes an artifact beyond any cap, and would go on for long; it notes that it was told to end.
TOO_BIG = """
import json, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
print(json.dumps({"t": 1.0, "event": "artifact", "total_bytes": 10**9}), file=open("events.jsonl", "a"), flush=True)
print("evaluating", flush=True)
time.sleep(300)
"""
