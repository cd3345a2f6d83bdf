"""`pgolf record` on a terminal: the work is done by a process of its own, and the terminal shows it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from pgolf.cli.following import follow, leaving
from pgolf.cli.output import run_flow, tell
from pgolf.pods.processes import has_terminal, identity
from pgolf.record.orchestrator import DETACHED, LOG, Here, Orchestrator, as_given, start_folder, write_orchestrator
from pgolf.record.stand import being_made, check_free

if TYPE_CHECKING:
    from pgolf.record.outcome import AnyOutcome

COMMAND = [sys.executable, "-P", "-m", DETACHED]


def make_record(
    foreground: bool | None, module: str, flow: str, parameters: dict[str, Any], inputs: Mapping[str, str]
) -> "AnyOutcome":
    """Make a record by a flow with these parameters, and show it; return its outcome. One that is being made by the
    same command and of the same `inputs`, as far as they are known, is shown, or in the foreground refused.

    By default in this process where there is no terminal, else in one that no terminal ends: Ctrl-C leaves that.

    Raises
    ------
    BadInput, RunFailed : as the flow.
    typer.Exit : somebody has left.
    """
    Here.command = as_given(["pgolf", *sys.argv[1:]])
    asked = Path(parameters["runs_dir"]), inputs, Here.command, parameters["record_id"]
    if foreground or (foreground is None and not has_terminal()):
        check_free(*asked)
        outcome: AnyOutcome = run_flow(module, flow, **parameters)
        return outcome
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _leave)
    there = being_made(*asked)
    if there:
        tell(f"{there.name} is being made by this command already")
    starting = there or start(module, flow, parameters)
    try:
        with leaving(starting):
            end = follow(starting, whole=True)
    except (KeyboardInterrupt, SystemExit) as e:
        raise typer.Exit(int(e.code or 0) if isinstance(e, SystemExit) else 130) from None
    if not there:
        shutil.rmtree(starting, ignore_errors=True)
    return end.outcome()


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def start(module: str, flow: str, parameters: dict[str, Any]) -> Path:
    """Start the process that makes the record; return the folder where it says how it goes, until it knows its own."""
    starting = start_folder(Path(parameters["runs_dir"]))
    given = {"module": module, "flow": flow, "parameters": parameters, "starting": str(starting)}
    file = os.open(starting / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(
            COMMAND, stdin=subprocess.PIPE, stdout=file, stderr=file, start_new_session=True, text=True
        )
    finally:
        os.close(file)
    pods_file = parameters.get("pods_file")
    who = Orchestrator(identity(process.pid), "detached", Here.command, parameters["pods"], pods_file, os.getcwd())
    write_orchestrator(starting, who)
    assert process.stdin
    with process.stdin as pipe:
        json.dump(given | {"command": list(Here.command)}, pipe)
    return starting
