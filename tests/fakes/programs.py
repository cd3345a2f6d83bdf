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


def speedrun_program(folder: Path, step_ms: float = 90.0, **constants: str) -> Path:
    """speedrun.py as a user's program, which takes `step_ms` milliseconds a step by its own clock; its script.

    `constants` are the defaults of variables that it reads.
    """
    folder.mkdir()
    source = (
        (PROGRAMS / "speedrun.py").read_text().replace("STEP_MS, LOSS = 20, 90.0", f"STEP_MS, LOSS = 20, {step_ms}")
    )
    for name, value in constants.items():
        source = source.replace(f'"{name}", ""', f'"{name}", "{value}"')
    (folder / "train_gpt.py").write_text(source)
    (folder / "program.toml").write_text('command = ["python", "{script}"]\n')
    return folder / "train_gpt.py"


def speedrun_data(folder: Path) -> Path:
    """A data folder with the one file that speedrun.py looks for."""
    (folder / "fineweb10B").mkdir(parents=True)
    (folder / "fineweb10B" / "fineweb_val_000000.bin").write_bytes(b"\x01\x02")
    return folder
