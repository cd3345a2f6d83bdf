"""Records whose seeds take a moment: a program in the trainer's place replays runs that the trainer has made.

To its pod and to whoever watches it, the program is a trainer: it takes SEED, prints the log, writes the events while
it runs, and leaves the artifact. Everything around it is real. As a script, it is `pgolf` with such a program:

    python replay.py '{"runs": "RUNS"}' record --track …
"""

import json
import sys
from pathlib import Path
from typing import Any

PACE_S = 2.0  # in the middle of a run, so that something can happen there
PROGRAM = """
def edited(text):
    {edit}
    return text.splitlines(keepends=True)


assert Path(os.environ["DATA_DIR"], "datasets").is_dir(), "a trainer finds its data there"
kept = Path(RUNS, {seed}, "attempt-1")
log, events = (edited((kept / name).read_text()) for name in ("train.log", "events.jsonl"))
for part in (0, 1):
    print(*log[len(log) // 2 * part :][: len(log) // 2 + part], sep="", end="", flush=True)
    with open("events.jsonl", "a") as file:
        file.writelines(events[len(events) // 2 * part :][: len(events) // 2 + part])
    time.sleep(PACE_S * (1 - part))
Path("final_model.int6.ptz").write_bytes((kept / "final_model.int6.ptz").read_bytes())
"""


def program(runs: Path, pace_s: float = PACE_S, edit: str = "pass", seed: str = 'os.environ["SEED"]') -> bytes:
    """The program. It replays `runs`/<seed>/attempt-1, and is as large as the program that ran there.

    `edit` are statements that change `text`, of the log and of the events; `seed` is the expression for the seed.
    """
    head = f"import os, re, time\nfrom pathlib import Path\n\nRUNS, PACE_S = {str(runs)!r}, {pace_s!r}\n"
    code = (head + PROGRAM.format(edit=edit.strip(), seed=seed)).encode()
    size = next(runs.glob("*/attempt-1/train_gpt.py")).stat().st_size
    assert len(code) < size
    return code.ljust(size, b"#")  # logs give the size of their code


def install(runs: Path, setattr: Any = setattr, **how: Any) -> None:
    """Have records of this process run the program, whatever they would pack; `setattr` may be a monkeypatch's."""
    import pgolf.flows.tasks as flow

    replaying = program(runs, **how)
    setattr(flow, "packed", lambda knobs: replaying)


def command(runs: Path, words: list[str], **how: Any) -> list[str]:
    """A command line of pgolf as one that replays."""
    return [sys.executable, __file__, json.dumps({"runs": str(runs), **how}), *words[1:]]


if __name__ == "__main__":
    given = sys.argv.pop(1)
    how = json.loads(given)
    install(Path(how.pop("runs")), **how)
    if sys.argv[1] == "detached":
        from pgolf.flows.detached import main
    else:
        from pgolf.cli import detached, main

        detached.COMMAND[:] = [sys.executable, __file__, given, "detached"]
    main()
