"""Run a flow in this process, as `pgolf record` does."""

import importlib
import logging
import os
import signal
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from pgolf.flows.server import prefect_api, uncollected
from pgolf.record.disk import blaming_a_full_disk
from pgolf.record.orchestrator import Here, How
from pgolf.record.stopping import interrupting

log = logging.getLogger("pgolf.here")
ENDING = "ending what runs, which begins anew next time; finished work is kept, and the same command goes on from it"


def run_here(module: str, flow: str, parameters: dict[str, Any], how: How = "foreground") -> Any:
    """Run a flow with these parameters, on the server of PREFECT_API_URL, else on a server for this run alone.

    That server keeps its database in PREFECT_HOME, if that is set, else beside the records. SIGTERM and SIGHUP end the
    flow in order, as Ctrl-C does, which is answered at once: every child is ended, and finished work stays.
    """

    def leave(number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, leave)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, interrupting(ENDING, log.info))
    Here.how = how
    home = os.environ.get("PREFECT_HOME") or Path(parameters["runs_dir"], ".prefect")
    with blaming_a_full_disk(Path(parameters["runs_dir"])), prefect_api(Path(home)) as wait:
        with uncollected():
            run = getattr(importlib.import_module(module), flow)  # takes seconds, and so does the server
        wait()
        return run(**parameters)
