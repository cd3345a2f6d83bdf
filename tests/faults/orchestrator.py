"""`pgolf …` that dies at a named point: `python orchestrator.py POINT record --pods runpod …`.

The points are functions of the code under test, wrapped from outside: before or after one is called, the process
gets SIGKILL, as from a power cut. With `--replay RUNS` after the point, seeds replay those runs.
"""

import functools
import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

# name: module, function, before or after it, and at which call of it
POINTS = {
    "before the plan is written": ("pgolf.record.folder", "write_plan", "before", 1),
    "after the plan is written": ("pgolf.record.folder", "write_plan", "after", 1),
    "before a pod is named": ("pgolf.pods.rental", "Rentals.another", "before", 1),
    "before the first create": ("pgolf.pods.runpod", "Runpod.create", "before", 1),
    "after the first create, its id unknown": ("pgolf.pods.runpod", "Runpod.create", "after", 1),
    "after a pod's id is known": ("pgolf.pods.rental", "Rental._take", "after", 2),
    "before the first lease": ("pgolf.pods.rental", "Rental._renew", "before", 1),
    "in the middle of bootstrap": ("pgolf.pods.bootstrap", "stage", "before", 2),
    "before a seed is put on its pod": ("pgolf.pods.remote", "RemotePod.put", "before", 1),
    "before a seed is started": ("pgolf.pods.remote", "RemotePod.start", "before", 1),
    "after a seed is started": ("pgolf.pods.remote", "RemotePod.start", "after", 2),
    "in the middle of training": ("pgolf.pods.remote", "RemotePod.output", "after", 12),
    "before files are fetched": ("pgolf.pods.remote", "RemotePod.fetch", "before", 1),
    "between two files that are fetched": ("pgolf.pods.machine", "Machine.get", "after", 3),
    "after the first fetch": ("pgolf.pods.remote", "RemotePod.fetch", "after", 1),
    "before a pod is given back": ("pgolf.pods.runpod", "Runpod.delete", "before", 1),
    "after a pod is given back": ("pgolf.pods.runpod", "Runpod.delete", "after", 1),
    "between the last seed and the verdict": ("pgolf.flows.record", "conclude", "before", 1),
    "before the submission is written": ("pgolf.flows.tasks", "write", "before", 1),
    "after the last byte of the submission": ("pgolf.flows.tasks", "write", "after", 1),
}


def find(point: str) -> tuple[Any, str]:
    """The module or class that has a point's function, and the function's name there."""
    module_name, path, _, _ = POINTS[point]
    owner: Any = import_module(module_name)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    return owner, name


def arm(point: str) -> None:
    """Have this process killed at a point."""
    *_, when, at_call = POINTS[point]
    owner, name = find(point)
    original: Callable[..., Any] = getattr(owner, name)
    calls = iter(range(1, 1 << 30))

    @functools.wraps(original)
    def deadly(*args: Any, **given: Any) -> Any:
        call = next(calls)
        if when == "before" and call == at_call:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **given)
        if when == "after" and call == at_call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, deadly)


def arm_in_a_character() -> None:
    """Have this process killed when a log has come home up to the middle of a UTF-8 character."""
    from pgolf.pods.machine import Machine
    from pgolf.pods.remote import RemotePod

    read, output, cut = Machine.read, RemotePod.output, False

    def cutting(self: Machine, source: PurePosixPath, offset: int) -> bytes:
        nonlocal cut
        data = read(self, source, offset)
        first = next((i for i, byte in enumerate(data) if byte >= 0xC0), None)
        if source.name != "train.log" or first is None or cut:
            return b"" if cut else data
        cut = True
        return data[: first + 1]

    def deadly(self: RemotePod, offset: int, name: str) -> tuple[str, int]:
        result = output(self, offset, name)
        if cut and name == "train.log":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    Machine.read, RemotePod.output = cutting, deadly  # type: ignore[method-assign]


IN_A_CHARACTER = "when a log is home up to the middle of a character"

if __name__ == "__main__":
    point = sys.argv.pop(1)
    if sys.argv[1] == "--replay":
        sys.path.insert(0, str(Path(__file__).parents[1]))
        import replay

        replay.install(Path(sys.argv[2]))
        del sys.argv[1:3]
    arm_in_a_character() if point == IN_A_CHARACTER else arm(point)
    from pgolf.cli import main

    main()
