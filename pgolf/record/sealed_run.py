"""Runs a command sealed off, to its end or until nobody wants it any more: python -I sealed_run.py SPEC.json

SPEC: a spec of legality/seal.py, and {"command": [words], "seal": path of that file, "lock": file}. The current folder
is the only one that it may write to, beside "write". Standard library only, started by path.

What the command starts is sealed, too, and ends with it. While a process holds the lock it is wanted; without a holder
it is ended, so that a killed pgolf leaves nothing running.
"""

import fcntl
import importlib.util
import json
import os
import signal
import sys
import time
from contextlib import suppress
from functools import partial
from types import FrameType, ModuleType
from typing import NoReturn

POLL_S = 0.2
GRACE_S = 2.0  # to end in order, for what is told to: the next attempt begins anew, and somebody waits
CANNOT = 97  # exit code where the seal fails: no program has run; legality/seal.py has the same


def load_seal(path: str) -> ModuleType:
    """legality/seal.py, which stands alone, too."""
    spec = importlib.util.spec_from_file_location("seal", path)
    if spec is None or spec.loader is None:
        sys.exit(f"no {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def is_wanted(lock: int) -> bool:
    """Whether a process holds the lock."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(lock, fcntl.LOCK_UN)
    return False


def wait_while_wanted(seal: ModuleType, lock: int, supervisor: int, child: int, _held: int) -> NoReturn:
    """Wait for the sealed process, and end it when nobody wants it any more, or GRACE_S after it was told to end."""
    told: list[float] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        told.append(time.monotonic())
        with suppress(ProcessLookupError):
            os.kill(child, number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, pass_on)
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            sys.exit(seal.code_of(status))
        if not is_wanted(lock):
            os.kill(supervisor, signal.SIGTERM)  # which writes down that it was ended, and hands it on to here
            os.kill(child, signal.SIGKILL)
        if told and time.monotonic() - told[0] > GRACE_S:
            os.kill(child, signal.SIGKILL)
        time.sleep(POLL_S)


def main() -> None:
    with open(sys.argv[1]) as f:
        spec = json.load(f)
    seal = load_seal(spec["seal"])
    lock = os.open(spec["lock"], os.O_RDWR | os.O_CREAT, 0o644)
    spec |= {"write": [*spec["write"], os.getcwd()], "keep": [lock], "trains": True}
    means = seal.enter(spec, partial(wait_while_wanted, seal, lock, os.getppid()))
    os.close(lock)
    for needed in (*seal.NAMESPACES, seal.ROOT, "no capabilities"):
        if needed not in means:
            seal.cannot(f"no {needed} on this system")
    own = {name: os.path.join(os.getcwd(), folder) for name, folder in (("HOME", ".home"), ("TMPDIR", ".tmp"))}
    for folder in own.values():
        os.makedirs(folder, exist_ok=True)
    try:
        os.execvpe(spec["command"][0], spec["command"], {**os.environ, **own})
    except OSError as e:
        print(f"cannot run {spec['command'][0]}: {e.strerror}", file=sys.stderr, flush=True)
        os._exit(127)


if __name__ == "__main__":
    main()
